//! Closing the window: at once while nothing runs, by question while something does.

/// Where closing stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quit {
    /// Nobody wants to leave.
    #[default]
    Stay,
    /// Work is under way and the person is being asked.
    Asking,
    /// The window closes.
    Leave,
}

/// What the person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuitAnswer {
    /// Stops the work and closes.
    Leave,
    /// Goes on working.
    Stay,
}

impl Quit {
    /// Someone wants to leave, by key, menu or the window's own button.
    pub fn ask(&mut self, work_under_way: bool) {
        *self = match *self {
            Self::Leave => Self::Leave,
            _ if work_under_way => Self::Asking,
            _ => Self::Leave,
        };
    }

    /// The work has ended while the question stood: nothing is left to be asked.
    pub fn work_ended(&mut self) {
        if self.is_asking() {
            *self = Self::Leave;
        }
    }

    /// The person has answered.
    pub fn answer(&mut self, answer: QuitAnswer) {
        *self = match answer {
            QuitAnswer::Leave => Self::Leave,
            QuitAnswer::Stay => Self::Stay,
        };
    }

    /// True while the question stands.
    pub fn is_asking(self) -> bool {
        self == Self::Asking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_needs_an_answer_only_while_work_is_under_way() {
        let mut quit = Quit::default();
        quit.ask(true);
        assert!(quit.is_asking());
        quit.answer(QuitAnswer::Stay);
        assert_eq!(quit, Quit::Stay);
        quit.work_ended();
        assert_eq!(quit, Quit::Stay, "nobody wants to leave");
        quit.ask(true);
        quit.work_ended();
        assert_eq!(quit, Quit::Leave);
        quit = Quit::Stay;
        quit.ask(false);
        assert_eq!(quit, Quit::Leave);
        quit.ask(true);
        assert_eq!(quit, Quit::Leave, "an answer is not asked for twice");
    }
}
