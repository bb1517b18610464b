//! What the studio tells a person outside of a panel: what happened, to which file, why, and what mends it.

use super::command::AppCommand;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It worked.
    Good,
    /// Worth knowing.
    Info,
    /// Done otherwise than asked.
    Warning,
    /// Not done.
    Error,
}

impl Severity {
    /// The word beside the icon.
    pub fn label(self) -> &'static str {
        match self {
            Self::Good => "Done",
            Self::Info => "Note",
            Self::Warning => "Warning",
            Self::Error => "Error",
        }
    }

    /// Seconds after which it goes by itself; errors and warnings stay.
    fn lifetime_secs(self) -> Option<f64> {
        match self {
            Self::Good | Self::Info => Some(6.0),
            Self::Warning | Self::Error => None,
        }
    }
}

/// One notice.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Its name; 0 until it is posted.
    pub id: u64,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, one line.
    pub title: String,
    /// To which file, why, and what to do.
    pub body: String,
    /// For a report; copyable, behind "Details".
    pub details: Option<String>,
    /// The one button that mends it.
    pub remedy: Option<(String, AppCommand)>,
    /// When it was posted.
    pub posted_secs: f64,
}

impl Notice {
    /// A notice without details and remedy.
    pub fn new(severity: Severity, title: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            id: 0,
            severity,
            title: title.into(),
            body: body.into(),
            details: None,
            remedy: None,
            posted_secs: 0.0,
        }
    }

    /// With the button that mends it.
    pub fn with_remedy(mut self, label: impl Into<String>, command: AppCommand) -> Self {
        self.remedy = Some((label.into(), command));
        self
    }

    /// With text for a report.
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}

/// Notices on screen, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    list: Vec<Notice>,
    next_id: u64,
}

/// More than this many at once help nobody.
const MAX_NOTICES: usize = 4;

impl Notices {
    /// On screen, oldest first.
    pub fn list(&self) -> &[Notice] {
        &self.list
    }

    /// Shows a notice; the same words are not shown twice.
    pub fn post(&mut self, mut notice: Notice, now_secs: f64) {
        self.list
            .retain(|old| old.title != notice.title || old.body != notice.body);
        self.next_id += 1;
        notice.id = self.next_id;
        notice.posted_secs = now_secs;
        self.list.push(notice);
        let excess = self.list.len().saturating_sub(MAX_NOTICES);
        self.list.drain(..excess);
    }

    /// Takes one away.
    pub fn dismiss(&mut self, id: u64) {
        self.list.retain(|notice| notice.id != id);
    }

    /// Takes the newest one away; false if there was none.
    pub fn dismiss_newest(&mut self) -> bool {
        self.list.pop().is_some()
    }

    /// Takes away what has been up long enough; returns seconds until the next one goes.
    pub fn expire(&mut self, now_secs: f64) -> Option<f64> {
        let left = |notice: &Notice| {
            notice
                .severity
                .lifetime_secs()
                .map(|secs| notice.posted_secs + secs - now_secs)
        };
        self.list.retain(|n| left(n).is_none_or(|secs| secs > 0.0));
        self.list.iter().filter_map(left).reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_and_news_goes() {
        let mut notices = Notices::default();
        notices.post(Notice::new(Severity::Error, "e", "x"), 0.0);
        notices.post(Notice::new(Severity::Good, "g", "x"), 0.0);
        assert_eq!(notices.expire(1.0), Some(5.0));
        assert_eq!(notices.expire(7.0), None);
        assert_eq!(notices.list().len(), 1);
        assert_eq!(notices.list()[0].title, "e");
    }

    #[test]
    fn the_same_words_appear_once_and_the_stack_is_short() {
        let mut notices = Notices::default();
        for i in 0..9 {
            notices.post(Notice::new(Severity::Error, "same", "words"), f64::from(i));
        }
        assert_eq!(notices.list().len(), 1);
        for i in 0..9 {
            let title = i.to_string();
            notices.post(Notice::new(Severity::Error, title, ""), 0.0);
        }
        assert_eq!(notices.list().len(), MAX_NOTICES);
        assert_eq!(notices.list()[MAX_NOTICES - 1].title, "8");
    }
}
