//! Pinhole cameras.

use glam::{DMat3, DVec2, DVec3};

use super::WorldFromCamera;

/// Pinhole intrinsics in pixels; pixel centres lie at +0.5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    /// Focal length along x, pixels.
    pub fx_px: f64,
    /// Focal length along y, pixels.
    pub fy_px: f64,
    /// Principal point, x, pixels from the left edge.
    pub cx_px: f64,
    /// Principal point, y, pixels from the top edge.
    pub cy_px: f64,
}

impl Intrinsics {
    /// Square pixels and a centred principal point.
    pub fn centred(focal_px: f64, width: usize, height: usize) -> Self {
        Self {
            fx_px: focal_px,
            fy_px: focal_px,
            cx_px: width as f64 / 2.0,
            cy_px: height as f64 / 2.0,
        }
    }

    /// Ray through the centre of pixel `(column, row)`, with z = 1.
    pub fn ray(&self, column: usize, row: usize) -> DVec3 {
        DVec3::new(
            (column as f64 + 0.5 - self.cx_px) / self.fx_px,
            (row as f64 + 0.5 - self.cy_px) / self.fy_px,
            1.0,
        )
    }

    /// Image position of a point in camera coordinates; `None` at or behind the camera.
    pub fn project(&self, point_in_camera: DVec3) -> Option<DVec2> {
        (point_in_camera.z > 0.0).then(|| {
            DVec2::new(
                self.fx_px * point_in_camera.x / point_in_camera.z + self.cx_px,
                self.fy_px * point_in_camera.y / point_in_camera.z + self.cy_px,
            )
        })
    }

    /// The matrix K.
    pub fn to_mat3(&self) -> DMat3 {
        DMat3::from_cols(
            DVec3::new(self.fx_px, 0.0, 0.0),
            DVec3::new(0.0, self.fy_px, 0.0),
            DVec3::new(self.cx_px, self.cy_px, 1.0),
        )
    }

    /// Reads the matrix K; skew is ignored.
    pub fn from_mat3(k: DMat3) -> Self {
        Self {
            fx_px: k.x_axis.x,
            fy_px: k.y_axis.y,
            cx_px: k.z_axis.x,
            cy_px: k.z_axis.y,
        }
    }

    /// Vertical field of view in radians for an image of `height` pixels.
    pub fn fov_y_rad(&self, height: usize) -> f64 {
        2.0 * (height as f64 / (2.0 * self.fy_px)).atan()
    }
}

/// Where a frame was taken from and through which lens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// The lens.
    pub intrinsics: Intrinsics,
    /// The place.
    pub world_from_camera: WorldFromCamera,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projection_undoes_the_ray() {
        let k = Intrinsics {
            fx_px: 300.0,
            fy_px: 310.0,
            cx_px: 80.0,
            cy_px: 48.0,
        };
        let image = k.project(k.ray(17, 5) * 3.0);
        assert!(image.is_some_and(|p| (p - DVec2::new(17.5, 5.5)).length() < 1e-12));
        assert_eq!(Intrinsics::from_mat3(k.to_mat3()), k);
        assert!(k.project(DVec3::new(0.0, 0.0, -1.0)).is_none());
    }
}
