"""Small models of text, made on the spot: folders as transformers writes them."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from pipeline.note.pieces import train_tokenizer

TEXTS = [
    "Clear lungs, normal heart; unremarkable study of the mediastinum.",
    "Effusion: pleural, layering, bilateral, basal; fluid with a meniscus of 2.5 cm.",
    "Fracture of the femur, displaced: cortex, alignment, callus and bone.",
]
MOST = 24  # tokens of the longest window
WIDTH = 16


def bytes_tokenizer(first, last, pad):
    """Pieces of bytes, as RoBERTa and ModernBERT have them; special tokens as named."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = [first, pad, last, "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    ))  # fmt: skip
    ends = [(token, made.token_to_id(token)) for token in (first, last)]
    made.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}",
                                                        special_tokens=ends)  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=made, cls_token=first, bos_token=first, sep_token=last, eos_token=last,
        pad_token=pad, unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip


def text_model(family, folder):
    """Writes a small model of a family with random weights and its tokenizer into a folder."""
    torch.manual_seed(0)
    small = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    if family in ("bert", "distilbert"):
        tokenizer = train_tokenizer(TEXTS, 120)
    elif family == "roberta":
        tokenizer = bytes_tokenizer("<s>", "</s>", "<pad>")
    else:
        tokenizer = bytes_tokenizer("[CLS]", "[SEP]", "[PAD]")
    vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if family == "bert":
        config = BertConfig(**small, **vocabulary, intermediate_size=32,
                            max_position_embeddings=MOST)  # fmt: skip
        model = BertModel(config)
    elif family == "distilbert":
        config = DistilBertConfig(**vocabulary, dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=32,
                                  max_position_embeddings=MOST)  # fmt: skip
        model = DistilBertModel(config)
    elif family == "roberta":  # whose positions begin after that of the padding
        config = RobertaConfig(**small, **vocabulary, intermediate_size=32, type_vocab_size=1,
                               max_position_embeddings=MOST + 2)  # fmt: skip
        model = RobertaModel(config)
    else:
        config = ModernBertConfig(
            **small, **vocabulary, intermediate_size=32, max_position_embeddings=MOST,
            local_attention=8, global_attn_every_n_layers=2,
            cls_token_id=tokenizer.cls_token_id, sep_token_id=tokenizer.sep_token_id,
            bos_token_id=tokenizer.cls_token_id, eos_token_id=tokenizer.sep_token_id,
        )  # fmt: skip
        model = ModernBertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


FAMILIES = ("bert", "distilbert", "modernbert", "roberta")
