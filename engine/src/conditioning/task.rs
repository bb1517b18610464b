//! Which frames a training clip shows: one of the tasks that the model serves.

use rand::Rng;
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

/// What is observed of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Nothing: the text alone.
    Text,
    /// The first frame.
    Image,
    /// Some frames, anywhere.
    Sparse,
    /// All frames.
    Video,
}

/// Shares of the tasks in training; they need not sum to one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskMix {
    /// Share of [`Task::Text`].
    pub text: f64,
    /// Share of [`Task::Image`].
    pub image: f64,
    /// Share of [`Task::Sparse`].
    pub sparse: f64,
    /// Share of [`Task::Video`].
    pub video: f64,
}

impl Default for TaskMix {
    /// One4D's 0.35, 0.30, 0.35, with 0.05 of the images given to text alone.
    fn default() -> Self {
        Self {
            text: 0.05,
            image: 0.30,
            sparse: 0.30,
            video: 0.35,
        }
    }
}

impl TaskMix {
    /// Draws a task. A mix without shares gives videos.
    pub fn draw(&self, rng: &mut impl Rng) -> Task {
        let shares = [
            (Task::Text, self.text),
            (Task::Image, self.image),
            (Task::Sparse, self.sparse),
            (Task::Video, self.video),
        ];
        let total: f64 = shares.iter().map(|(_, share)| share.max(0.0)).sum();
        let mut left = uniform(rng) * total;
        for (task, share) in shares {
            left -= share.max(0.0);
            if left < 0.0 {
                return task;
            }
        }
        Task::Video
    }
}

impl Task {
    /// Draws the frames that are shown: for sparse clips a random number, from two to half of all,
    /// at random places.
    ///
    /// # Shapes
    /// - returns `[F]`
    pub fn draw_known(self, num_frames: usize, rng: &mut impl Rng) -> Vec<bool> {
        let mut known = vec![self == Self::Video; num_frames];
        match self {
            Self::Text | Self::Video => {}
            Self::Image => known.iter_mut().take(1).for_each(|k| *k = true),
            Self::Sparse => {
                let most = (num_frames / 2).max(2).min(num_frames);
                let choices = most.saturating_sub(1).max(1);
                let count = (2 + (uniform(rng) * choices as f64) as usize).min(most);
                for index in sample(rng, num_frames, count) {
                    known[index] = true;
                }
            }
        }
        known
    }
}

fn uniform(rng: &mut impl Rng) -> f64 {
    // 53 bits: every value below 1.
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// `count` frames with the first and the last among them, evenly spread: the sparse setting of
/// One4D's table 5.
///
/// # Shapes
/// - returns `[F]`
pub fn spread_frames(num_frames: usize, count: usize) -> Vec<bool> {
    let mut known = vec![false; num_frames];
    let count = count.min(num_frames);
    for i in 0..count {
        let at = match count {
            1 => 0,
            _ => (i * (num_frames - 1) + (count - 1) / 2) / (count - 1),
        };
        known[at] = true;
    }
    known
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn tasks_are_drawn_by_their_shares() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mix = TaskMix::default();
        let draws = 20_000;
        let tasks: Vec<Task> = (0..draws).map(|_| mix.draw(&mut rng)).collect();
        let shares = [
            (Task::Text, mix.text),
            (Task::Image, mix.image),
            (Task::Sparse, mix.sparse),
            (Task::Video, mix.video),
        ];
        for (task, share) in shares {
            let found = tasks.iter().filter(|t| **t == task).count() as f64 / f64::from(draws);
            assert!((found - share).abs() < 0.01, "{task:?} {found}");
        }
    }

    #[test]
    fn sparse_clips_show_two_frames_up_to_half() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let counts: Vec<usize> = (0..500)
            .map(|_| Task::Sparse.draw_known(17, &mut rng))
            .map(|known| known.iter().filter(|k| **k).count())
            .collect();
        assert_eq!(counts.iter().min(), Some(&2));
        assert_eq!(counts.iter().max(), Some(&8));
        assert_eq!(Task::Sparse.draw_known(1, &mut rng), [true]);
    }

    #[test]
    fn spread_frames_keep_both_ends() {
        let at = |count| -> Vec<usize> {
            let known = spread_frames(17, count);
            (0..17).filter(|i| known[*i]).collect()
        };
        assert_eq!(at(3), [0, 8, 16]);
        assert_eq!(at(5), [0, 4, 8, 12, 16]);
        assert_eq!(at(1), [0]);
        assert_eq!(at(99).len(), 17);
    }
}
