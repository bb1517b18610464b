//! Flow-matching samplers: schedules, solvers, guidance and the loop.
