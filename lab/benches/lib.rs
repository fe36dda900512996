//! Empty: this package consists of the programs in `examples`.
