//! The screenshot that is being set up.

/// Largest side of a picture, pixels.
pub const MAX_SIDE_PX: u32 = 16_384;

/// The screenshot dialog's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShotForm {
    /// Columns and rows, before the scale.
    pub size_px: [u32; 2],
    /// Multiple of the size: 1, 2 or 4.
    pub scale: u32,
    /// No background.
    pub transparent: bool,
}

/// A change of the screenshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShotEdit {
    /// Columns and rows.
    Size([u32; 2]),
    /// Multiple of the size.
    Scale(u32),
    /// With a background or without.
    Transparent(bool),
    /// Closes the dialog.
    Cancel,
}

impl ShotForm {
    /// A form for a view of a size in pixels.
    pub fn new(size_px: [u32; 2]) -> Self {
        Self {
            size_px: size_px.map(|side| side.clamp(16, MAX_SIDE_PX)),
            scale: 1,
            transparent: false,
        }
    }

    /// Applies an edit that changes values.
    pub fn edit(&mut self, edit: ShotEdit) {
        match edit {
            ShotEdit::Size(size_px) => {
                self.size_px = size_px.map(|side| side.clamp(16, MAX_SIDE_PX));
            }
            ShotEdit::Scale(scale) => self.scale = scale.clamp(1, 4),
            ShotEdit::Transparent(transparent) => self.transparent = transparent,
            ShotEdit::Cancel => {}
        }
    }

    /// Columns and rows of the picture.
    pub fn picture_px(&self) -> [u32; 2] {
        self.size_px.map(|side| side * self.scale)
    }

    /// Why the picture cannot be taken.
    pub fn problem(&self) -> Option<&'static str> {
        let [width, height] = self.picture_px();
        (width.max(height) > MAX_SIDE_PX)
            .then_some("Longer than 16 384 pixels; choose a smaller size or scale")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_size_times_the_scale_within_limits() {
        let mut form = ShotForm::new([800, 5]);
        assert_eq!(form.size_px, [800, 16]);
        form.edit(ShotEdit::Scale(4));
        assert_eq!(form.picture_px(), [3200, 64]);
        form.edit(ShotEdit::Size([9000, 100]));
        assert!(form.problem().is_some());
        form.edit(ShotEdit::Scale(1));
        assert_eq!(form.problem(), None);
    }
}
