"""List the parts of Keras that a foreign network may contain: those that compute and have no other effect."""

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODELS = frozenset({"Functional", "Model", "Sequential"})

LAYERS = _names(
    """
    Activation ActivityRegularization AdaptiveAveragePooling2D AdaptiveMaxPooling2D Add AdditiveAttention AlphaDropout
    Attention Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional CenterCrop
    Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM2D Cropping1D Cropping2D
    Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten GRU GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
    GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer LSTM
    LayerNormalization LayerScale LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum
    MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RandomBrightness RandomContrast RandomCrop
    RandomFlip RandomRotation RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D
    SeparableConv2D SimpleRNN Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization Subtract
    ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
    """
)

INITIALIZERS = _names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """
)
REGULARIZERS = frozenset({"L1", "L1L2", "L2", "OrthogonalRegularizer"})
CONSTRAINTS = frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"})
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})
ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
OPERATIONS = _names(
    """
    Absolute Add Clip Concatenate Divide ExpandDims Flip GetItem HardSigmoid HardSilu Maximum Max Mean Minimum Multiply
    Negative Relu Relu6 Reshape Sigmoid Silu Softmax Sqrt Square Squeeze Subtract Sum Transpose TrueDivide
    """
)
"""Layers that a functional network contains for expressions such as `x + 1`; none of them takes a function."""

PLAIN = frozenset({"__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__"})
"""Names that a description uses for values that JSON cannot express, such as tuples and slices."""

BY_MODULE = {
    "keras": MODELS | POLICIES,
    "keras.models": MODELS,
    "keras.src.models.functional": MODELS,
    "keras.src.models.sequential": MODELS,
    "keras.src.engine.functional": MODELS,  # Keras 2
    "keras.src.engine.sequential": MODELS,
    "keras.layers": LAYERS,
    "keras.src.applications.convnext": frozenset({"LayerScale"}),
    "keras.initializers": INITIALIZERS,
    "keras.regularizers": REGULARIZERS,
    "keras.constraints": CONSTRAINTS,
    "keras.dtype_policies": POLICIES,
    "keras.mixed_precision": POLICIES,
    "keras.src.ops.numpy": OPERATIONS,
    "keras.src.ops.nn": OPERATIONS,
    "builtins": frozenset({"function"}),
    "keras.activations": frozenset({"function"}),
    "keras.src.activations.activations": frozenset({"function"}),
}
"""The allowed names by module. The modules are spelled as in the files."""

WITHOUT_MODULE = frozenset(MODELS | LAYERS | INITIALIZERS | REGULARIZERS | CONSTRAINTS | POLICIES | PLAIN)
"""Names that are allowed without a module: older files name no modules, and Keras then searches its own names."""


def snake(name: str) -> str:
    """Convert `GlorotUniform` to `glorot_uniform`, the spelling of older files."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _spellings(names: frozenset[str], *others: str) -> frozenset[str]:
    return names | {snake(name) for name in names} | frozenset(others)


STRINGS = {
    "activation": ACTIVATIONS,
    "initializer": _spellings(INITIALIZERS, "normal", "uniform", "one", "zero"),
    "regularizer": _spellings(REGULARIZERS, "l1_l2"),
    "constraint": _spellings(CONSTRAINTS, "non_neg"),
}
"""The texts that are allowed in a field, by the last word of the field's name. Keras looks up such a text by name."""
