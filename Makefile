# make demo — install, make the synthetic hospital, run the main job, say the result in words
# make estimate TARGET=… — time and disk of a result, and its training, before it is made (CONFIG=…: a file over config.yaml)
# make model TARGET=results/ecn_early_mortality.json — everything fitted for a result, in the one folder
#   results/models/ecn_early_mortality/
# make predict TARGET=… SOURCE=/data/new OUTPUT=risks.parquet — the risks of new patients by it
# make external TARGET=… NAME=… — the model of a result, unchanged, on a source of config.external:
#   results/external/<name>/<target>.json and .svg
# make weights — on a machine with a net: the pretrained weights that the config names (CONFIG=…: another)
# make verify — every byte of results against its digest, of a real copy against its SHA256SUMS.txt
# make report — report.html: all that is made so far; EXPERIMENT=…: of one, report-….html
# make kit RESULT=… — figures, tables, words and one page of a result, below results/kit/ (several in
#   quotes: one page of all; none: of all that are made; EXPERIMENT=…: of one, or of several)
# make bench — benchmarks/RESULTS.md and the table of reruns in docs/editing.md, ≤ 40 min;
#   BENCH=small: a try, ≤ 5
# make faults — every kind of fault on every stage, and kills of whole runs: docs/faults.md (hours;
#   the same command goes on)
# make hospital OUT=… — a hospital for other people's pipelines, without the truth; the answers for the
#   judge (docs/judge.md) lie apart, JUDGE=results/judge; PATIENTS=…, SEED=…: another one
# make docs — the documentation as a site, site/index.html
# make test — everything that must hold, at most 12 minutes on 2 cores; make test-all — all of it

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
TARGET := results/ecn_early_mortality.json
STORED = $(dir $(TARGET))models/$(basename $(notdir $(TARGET)))
SOURCE ?= results/hospital
OUTPUT ?= risks.parquet
BENCH ?= full
KILLS ?= 100
MINUTES ?= 600
JUDGE ?= results/judge
PATIENTS ?= 8000
SEED ?= 0
MEASURED := results/benchmarks
QUESTIONS := extraction meds stages films doc2vec training precision startup reruns
RECORDS = $(if $(filter full,$(BENCH)),benchmarks/records,$(MEASURED)/$(BENCH))
RESULTS = python benchmarks/results.py --records $(RECORDS) --size $(BENCH) \
  --output $(if $(filter full,$(BENCH)),benchmarks,$(MEASURED)/$(BENCH))/RESULTS.md

.PHONY: demo setup estimate model predict external weights verify report kit hospital bench faults docs test \
  test-all lint lock clean

demo: setup
	snakemake --cores $(CORES) $(TARGET)

# one page of all results and tables made so far that are up to date
report: setup
	@python -m pipeline.plan.reported --config config.yaml $(CONFIG) $(if $(EXPERIMENT),--name $(EXPERIMENT))

kit: setup
	@python -m pipeline.plan.kits $(RESULT) --cores $(CORES) --config config.yaml $(CONFIG) $(if $(EXPERIMENT),--experiments $(EXPERIMENT))

# the seed is the truth, too, for who has this code: hospital.json goes with the answers
hospital: setup
	@test -n "$(OUT)" || { echo "make hospital OUT=folder: the folder for the files"; exit 1; }
	@for there in "$(OUT)" "$(JUDGE)"; do test ! -e "$$there" || { echo "make hospital: $$there is there already:" \
	  "remove it, or name others by OUT=… and JUDGE=… (answers of one hospital judge no other)"; exit 1; }; done
	python -m pipeline.hospital.make --output $(OUT) --patients $(PATIENTS) --seed $(SEED)
	python -m pipeline.hospital.answers --hospital $(OUT) --output $(JUDGE)
	rm -r $(OUT)/truth $(OUT)/hospital.json

setup: $(READY)

# uv, itself pinned by the lock, installs the lock's exact versions and checks their hashes
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=…")'
	$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.lock
	uv pip install --quiet --python $(VENV)/bin/python --require-hashes --requirement requirements.lock
	@touch $@

# a small try stays with what it made; the full run speaks for the project, in the table of reruns of
# docs/editing.md, too
bench: setup
	@mkdir -p $(MEASURED)
	@set -e; for question in $(QUESTIONS); do \
	  echo "$$question ($$(date +%H:%M:%S))"; \
	  python benchmarks/$$question.py --size $(BENCH) --folder $(MEASURED) \
	    --output $(RECORDS)/$$question.json > /dev/null; \
	done
	$(RESULTS)

# of what the record holds nothing is tried again: remove it to begin anew
faults: setup
	@mkdir -p $(MEASURED)
	python benchmarks/kills.py --folder $(MEASURED)/kills --kills $(KILLS) --record benchmarks/records/kills.json
	python benchmarks/mutations.py --folder $(MEASURED)/mutations --output benchmarks/records/mutations.json
	python benchmarks/faults.py --folder $(MEASURED)/faults --record benchmarks/records/faults.json \
	  --kills benchmarks/records/kills.json --mutations benchmarks/records/mutations.json --page docs/faults.md --minutes $(MINUTES)

# mkdocs-material, in an environment of its own
docs:
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --upgrade pip
	.venv-docs/bin/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check workflow rules
	lint-imports
	mypy
	snakemake --lint

estimate: setup
	@python -m pipeline.plan.estimate $(TARGET) --config config.yaml $(CONFIG)

# with the settings that made the result: CONFIG=config/mimic.yaml
model: setup
	snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) -- $(STORED)/model.json

predict: model
	@python -m pipeline.predict --model $(STORED) --source $(SOURCE) --output $(OUTPUT) --threads $(CORES)

external: setup
	@test -n "$(NAME)" || { echo "make external NAME=…: a source of config.external"; exit 1; }
	snakemake --cores $(CORES) $(if $(CONFIG),--configfile $(CONFIG)) -- $(dir $(TARGET))external/$(NAME)/$(notdir $(TARGET)) $(dir $(TARGET))external/$(NAME)/$(basename $(notdir $(TARGET))).svg

# the only command that fetches models; WITHOUT_LICENCE=owner/name: one that states none and that you may use
weights: setup
	@python -m pipeline.weights.fetch --config config.yaml $(CONFIG) $(if $(WITHOUT_LICENCE),--without-licence $(WITHOUT_LICENCE))

verify: setup
	@python -m pipeline.plan.verify --threads $(CORES)

test: setup lint
	pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 10

test-all: setup lint
	pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 20 --all

lock: setup
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --group dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf results/* logs .snakemake
