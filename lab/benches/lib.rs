//! The programs in `examples` are all of this package.
