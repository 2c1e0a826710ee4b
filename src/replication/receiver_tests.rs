//! The receiver against masters that the tests speak for.
