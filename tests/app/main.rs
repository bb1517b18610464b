//! Tests of the studio; one module a part.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod geometry_tools;
mod loras;
mod models;
mod panels;
mod panels_3d;
mod panels_flows;
mod panels_measures;
mod panels_random;
mod panels_session;
mod panels_tools;
mod stage;
mod timeline;
mod video;
mod viewport;
