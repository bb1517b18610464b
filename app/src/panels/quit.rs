//! The question whether work under way may be stopped.

use egui::{Align, Key, Layout};

use super::Panel;
use super::dialog::dialog_ui;
use crate::state::AppCommand;
use crate::state::quit::QuitAnswer;
use crate::theme::{self, space};
use crate::widgets::{self, PushButton};

/// Shows the question while it stands.
pub fn quit_ui(ctx: &egui::Context, panel: &mut Panel<'_>) {
    if !panel.state.quit.is_asking() {
        return;
    }
    let tokens = theme::tokens_of(ctx);
    let jobs = &panel.state.jobs;
    let running = jobs.running().map(|card| {
        let percent = card.fraction * 100.0;
        format!("“{}” is at {percent:.0} %.", card.title)
    });
    let download = panel.state.models.running().map(|(entry, run)| {
        let percent = run.fraction() * 100.0;
        format!(
            " The download of {} is at {percent:.0} %; what has arrived is kept.",
            entry.title
        )
    });
    let waiting = jobs.num_active() - usize::from(running.is_some());
    let queued = match waiting {
        0 => String::new(),
        1 => " One more job waits.".to_owned(),
        n => format!(" {n} more jobs wait."),
    };
    let modal = dialog_ui(ctx, "quit", 380.0, |ui| {
        widgets::heading(ui, "Stop what is running?");
        ui.add_space(space::XS);
        let words = format!(
            "{}{queued}{}{}",
            running.unwrap_or_default(),
            if jobs.num_active() > 0 {
                " What is not finished is lost; finished scenes are saved."
            } else {
                ""
            },
            download.unwrap_or_default()
        );
        widgets::wrapped(ui, words.trim(), tokens.muted);
        ui.add_space(space::M);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let stay = PushButton::primary("Keep working").height(theme::TOUCH);
            let leave = PushButton::quiet("Stop and quit")
                .color(tokens.bad)
                .height(theme::TOUCH);
            let stays = ui.add(stay).clicked();
            let leaves = ui.add(leave).clicked();
            (stays, leaves)
        })
        .inner
    });
    let (stays, leaves) = modal.inner;
    if leaves {
        panel.push(AppCommand::Quit(QuitAnswer::Leave));
    } else if stays || modal.should_close() || ctx.input(|input| input.key_pressed(Key::Enter)) {
        panel.push(AppCommand::Quit(QuitAnswer::Stay));
    }
}
