//! What models are, on paper: layers, roles, families.
