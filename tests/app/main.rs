//! Tests of the studio; one module a part.

mod cli;
mod panels;
mod timeline;
mod viewport;
