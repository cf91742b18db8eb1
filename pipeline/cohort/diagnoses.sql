-- The distinct codes of each stay's admission, with the group of each: its category, the first
-- three characters of an ICD-10-CM code. One row per stay, code and group; no group: null, and
-- several_chapters where that is why.
-- Tables: episodes (those that are eligible), diagnoses_icd, gems (CMS's General Equivalence
-- Mappings from ICD-9-CM to ICD-10-CM: icd9cm, icd10cm, no_map, scenario, choice_list, and title of
-- the ICD-10-CM code), chapters (of ICD-10-CM: first and last category), reviewed (icd9cm,
-- category: decided by hand, see diagnoses_reviewed.csv).

WITH codes AS (
    SELECT DISTINCT
        episodes.episode_id,
        diagnoses_icd.icd_version,
        -- MIMIC pads some codes with spaces; other sources write the point.
        UPPER(REPLACE(TRIM(diagnoses_icd.icd_code), '.', '')) AS code
    FROM diagnoses_icd
    INNER JOIN episodes USING (hadm_id)
),

alternatives AS (
    -- How many ICD-10 codes speak for a category, and whether one of them is the disease itself,
    -- unspecified: "Diarrhea, unspecified", but not "... of unspecified eye". An ICD-9 code that
    -- stands for a combination has one list of choices per part. ASSUME the first scenario of
    -- combinations.
    SELECT
        icd9cm AS code,
        choice_list,
        LEFT(icd10cm, 3) AS category,
        COUNT(*) AS votes,
        BOOL_OR(
            COALESCE(REGEXP_MATCHES(title, '(?i)^unspecified |, unspecified(,|$)'), FALSE)
        ) AS unspecified
    FROM (
        FROM gems
        WHERE no_map = 0
        QUALIFY scenario = MIN(scenario) OVER (PARTITION BY icd9cm)
    )
    GROUP BY ALL
),

compared AS (
    SELECT
        alternatives.*,
        unspecified AND COUNT_IF(unspecified) OVER choices = 1 AS is_unspecified,
        MIN(chapters.first) OVER choices <> MAX(chapters.first) OVER choices AS spread
    FROM alternatives
    LEFT JOIN chapters ON alternatives.category BETWEEN chapters.first AND chapters.last
    WINDOW choices AS (PARTITION BY code, choice_list)
),

chosen AS (
    -- ASSUME of several categories the only one titled unspecified; else none where they lie in
    -- several chapters; else the one with most ICD-10 codes, of equals the first by name (3 in 100
    -- ICD-9 codes leave such a choice).
    SELECT code, CASE WHEN is_unspecified OR NOT spread THEN category END AS category
    FROM (
        FROM compared
        QUALIFY ROW_NUMBER() OVER (
            PARTITION BY code, choice_list
            ORDER BY is_unspecified DESC, votes DESC, category
        ) = 1
    )
),

crosswalk AS (
    SELECT icd9cm AS code, category, FALSE AS several_chapters
    FROM reviewed
    UNION ALL
    -- The parts of a combination that have a group; a code none of whose parts has one stays.
    SELECT DISTINCT code, category, category IS NULL AS several_chapters
    FROM (
        FROM chosen
        ANTI JOIN reviewed ON chosen.code = reviewed.icd9cm
        QUALIFY category IS NOT NULL OR COUNT(category) OVER (PARTITION BY code) = 0
    )
)

SELECT
    codes.episode_id,
    codes.icd_version,
    codes.code,
    crosswalk.category,
    COALESCE(crosswalk.several_chapters, FALSE) AS several_chapters
FROM codes
LEFT JOIN crosswalk USING (code)
WHERE codes.icd_version = 9
UNION ALL
SELECT
    episode_id,
    icd_version,
    code,
    CASE WHEN REGEXP_MATCHES(code, '^[A-Z][0-9][0-9A-Z]') THEN LEFT(code, 3) END AS category,
    FALSE AS several_chapters
FROM codes
WHERE icd_version IS DISTINCT FROM 9
ORDER BY ALL
