//! Which panels are open.

use super::command::Action;

/// Open panels, and how to get back from "hide everything".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Left panel.
    pub create: bool,
    /// Right panel.
    pub inspect: bool,
    /// Bottom panel.
    pub timeline: bool,
    hidden: Option<(bool, bool, bool)>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            create: true,
            inspect: true,
            timeline: true,
            hidden: None,
        }
    }
}

impl Layout {
    /// Applies one of the four panel actions; others do nothing.
    pub fn toggle(&mut self, action: Action) {
        match action {
            Action::ToggleCreate => self.create = !self.create,
            Action::ToggleInspect => self.inspect = !self.inspect,
            Action::ToggleTimeline => self.timeline = !self.timeline,
            Action::TogglePanels => self.toggle_all(),
            _ => return,
        }
        if action != Action::TogglePanels && (self.create || self.inspect || self.timeline) {
            self.hidden = None;
        }
    }

    fn toggle_all(&mut self) {
        let open = (self.create, self.inspect, self.timeline);
        let target = if open == (false, false, false) {
            self.hidden.take().unwrap_or((true, true, true))
        } else {
            self.hidden = Some(open);
            (false, false, false)
        };
        (self.create, self.inspect, self.timeline) = target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hiding_everything_and_showing_it_again_keeps_the_choice() {
        let mut layout = Layout::default();
        layout.toggle(Action::ToggleInspect);
        let before = layout;
        layout.toggle(Action::TogglePanels);
        assert!(!layout.create && !layout.timeline && !layout.inspect);
        layout.toggle(Action::TogglePanels);
        assert_eq!(
            (layout.create, layout.inspect),
            (before.create, before.inspect)
        );
        let mut closed = Layout::default();
        closed.toggle(Action::ToggleCreate);
        closed.toggle(Action::ToggleInspect);
        closed.toggle(Action::ToggleTimeline);
        closed.toggle(Action::TogglePanels);
        assert!(closed.create && closed.inspect && closed.timeline);
    }
}
