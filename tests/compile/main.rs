//! The compiler, seen from outside: what manifests give, which are refused and how, and what the compiler may import.

mod cases;
mod imports;
mod manifest;
mod refused;
