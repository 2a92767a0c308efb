//! Tensors and verbs on a device.
