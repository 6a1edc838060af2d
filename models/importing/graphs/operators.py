"""Decide whether a foreign ONNX network may contain an operator, and if not, why."""

import onnx

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""The names of the domain of the standard operators. The empty name and `ai.onnx` mean the same."""
MACHINE_LEARNING = "ai.onnx.ml"

CLASSICAL = frozenset(
    [
        "ArrayFeatureExtractor",
        "Binarizer",
        "FeatureVectorizer",
        "Imputer",
        "LinearClassifier",
        "LinearRegressor",
        "Normalizer",
        "SVMClassifier",
        "SVMRegressor",
        "Scaler",
        "TreeEnsemble",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
    ]
)
"""The operators of `ai.onnx.ml` that scikit-learn's classifiers need (skl2onnx)."""

_CHANCE = "its result is random, so that an image would get other scores each time"
_LISTS = "it makes lists or texts, which no row of scores needs"
_ENDLESS = (
    "it may run for ever, because the file or the image decides how often it repeats. A recurrent network is accepted "
    "with LSTM, GRU or RNN"
)
REFUSED = {
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), _CHANCE
    ),
    **dict.fromkeys(("Loop", "SequenceMap"), _ENDLESS),
    **dict.fromkeys(
        [
            "ConcatFromSequence",
            "Optional",
            "OptionalGetElement",
            "OptionalHasElement",
            "RegexFullMatch",
            "SequenceAt",
            "SequenceConstruct",
            "SequenceEmpty",
            "SequenceErase",
            "SequenceInsert",
            "SequenceLength",
            "SplitToSequence",
            "StringConcat",
            "StringNormalizer",
            "StringSplit",
            "TfIdfVectorizer",
        ],
        _LISTS,
    ),
    "ImageDecoder": "it decodes image files, which nightread has decoded already",
    "ZipMap": "it makes a list of tables. Export again with skl2onnx's option zipmap=False",
}
"""Operators of the standard that are refused, and why."""
_UNKNOWN = "it is not an operator of the ONNX standard, so that it would need its author's code"
_FOREIGN = {
    "com.microsoft": "ONNX Runtime's optimizer wrote it for one version and machine: ask for the original file",
    "org.pytorch.aten": "export again without operator_export_type=ONNX_ATEN_FALLBACK",
}


def why_refused(domain: str, name: str) -> str | None:
    """Return why an operator is refused; None if it is allowed."""
    if domain in DEFAULT_DOMAINS:
        return REFUSED.get(name, None if onnx.defs.has(name) else _UNKNOWN)
    if domain == MACHINE_LEARNING:
        if name in CLASSICAL:
            return None
        return REFUSED.get(name, "it is not one of the operators of ai.onnx.ml that a classifier of numbers needs")
    return _FOREIGN.get(domain, _UNKNOWN)
