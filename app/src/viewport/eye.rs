//! Where the viewer looks from: a pose in view axes (right, up, back) and a lens.

use glam::{DMat3, DMat4, DVec2, DVec3, DVec4};
use one4d_engine::geometry::{Camera, Intrinsics};

/// View axes to camera axes (right, down, forward) and back: the same half turn about x.
const CAMERA_FROM_VIEW: DMat3 = DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0));

/// What lies on the picture, independent of its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lens {
    /// Angle across the shorter side of the picture, radians.
    FieldOfView(f64),
    /// Parallel rays; height across the shorter side of the picture, scene units.
    Orthographic(f64),
    /// A camera of the scene, its whole image fitted into the picture.
    Camera {
        /// The camera's lens.
        intrinsics: Intrinsics,
        /// Columns of its image.
        width: usize,
        /// Rows of its image.
        height: usize,
    },
}

/// An eye in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eye {
    /// World axes to view axes (x right, y up, z back).
    pub view_from_world: DMat3,
    /// The eye in the world.
    pub position: DVec3,
    /// The lens.
    pub lens: Lens,
}

impl Eye {
    /// The eye that sees what a camera of the scene saw.
    pub fn through_camera(camera: &Camera, width: usize, height: usize) -> Self {
        let camera_from_world = camera.world_from_camera.inverse();
        Self {
            view_from_world: CAMERA_FROM_VIEW * camera_from_world.rotation,
            position: camera.world_from_camera.centre(),
            lens: Lens::Camera {
                intrinsics: camera.intrinsics,
                width,
                height,
            },
        }
    }

    /// To the right, in the world.
    pub fn right(&self) -> DVec3 {
        self.view_from_world.row(0)
    }

    /// Up on the picture, in the world.
    pub fn up(&self) -> DVec3 {
        self.view_from_world.row(1)
    }

    /// Into the picture, in the world.
    pub fn forward(&self) -> DVec3 {
        -self.view_from_world.row(2)
    }

    /// The lens in pixels of a picture of `size_px`; for parallel rays the focal lengths are pixels
    /// a scene unit at any distance.
    pub fn intrinsics(&self, size_px: [u32; 2]) -> Intrinsics {
        let size = DVec2::new(f64::from(size_px[0].max(1)), f64::from(size_px[1].max(1)));
        match self.lens {
            Lens::FieldOfView(angle_rad) => {
                let focal_px = 0.5 * size.min_element() / (0.5 * angle_rad).tan();
                Intrinsics {
                    fx_px: focal_px,
                    fy_px: focal_px,
                    cx_px: 0.5 * size.x,
                    cy_px: 0.5 * size.y,
                }
            }
            Lens::Orthographic(height) => {
                let px_per_unit = size.min_element() / height.max(f64::MIN_POSITIVE);
                Intrinsics {
                    fx_px: px_per_unit,
                    fy_px: px_per_unit,
                    cx_px: 0.5 * size.x,
                    cy_px: 0.5 * size.y,
                }
            }
            Lens::Camera {
                intrinsics,
                width,
                height,
            } => {
                let image = DVec2::new(width as f64, height as f64);
                let fit = (size / image).min_element();
                Intrinsics {
                    fx_px: intrinsics.fx_px * fit,
                    fy_px: intrinsics.fy_px * fit,
                    cx_px: 0.5 * size.x + (intrinsics.cx_px - 0.5 * image.x) * fit,
                    cy_px: 0.5 * size.y + (intrinsics.cy_px - 0.5 * image.y) * fit,
                }
            }
        }
    }

    /// Distance along the view axis.
    pub fn distance(&self, point_in_world: DVec3) -> f64 {
        self.forward().dot(point_in_world - self.position)
    }

    /// Distance from which a lens with perspective would show a point at the size at which this one
    /// shows it: pixels a scene unit are focal length over this.
    pub fn scale_distance(&self, point_in_world: DVec3) -> f64 {
        match self.lens {
            Lens::Orthographic(_) => 1.0,
            Lens::FieldOfView(_) | Lens::Camera { .. } => self.distance(point_in_world),
        }
    }

    /// A point on the picture, pixels; `None` at or behind an eye with perspective.
    pub fn project(&self, point_in_world: DVec3, size_px: [u32; 2]) -> Option<DVec2> {
        let in_camera =
            CAMERA_FROM_VIEW * (self.view_from_world * (point_in_world - self.position));
        let on_ray = match self.lens {
            Lens::Orthographic(_) => in_camera.with_z(1.0),
            Lens::FieldOfView(_) | Lens::Camera { .. } => in_camera,
        };
        self.intrinsics(size_px).project(on_ray)
    }

    /// The point at a distance along the view axis under a place on the picture.
    pub fn unproject(&self, at_px: DVec2, distance: f64, size_px: [u32; 2]) -> DVec3 {
        let k = self.intrinsics(size_px);
        let sideways = DVec2::new(
            (at_px.x - k.cx_px) / k.fx_px,
            -(at_px.y - k.cy_px) / k.fy_px,
        );
        let in_view = match self.lens {
            Lens::Orthographic(_) => sideways.extend(-distance),
            Lens::FieldOfView(_) | Lens::Camera { .. } => sideways.extend(-1.0) * distance,
        };
        self.position + self.view_from_world.transpose() * in_view
    }

    /// World to clip space with reverse-Z.
    ///
    /// With perspective `clip.z = near` and `clip.w` is the distance, so the depth `z / w` is
    /// `near / distance`. For parallel rays `clip.w = 1` and the depth falls from 1 to 0 between a
    /// reach before and a reach behind the eye ([`Eye::depth_metric`]), linear as the rasteriser
    /// interpolates it.
    pub fn clip_from_world(&self, size_px: [u32; 2], near: f64) -> DMat4 {
        let k = self.intrinsics(size_px);
        let (w, h) = (f64::from(size_px[0].max(1)), f64::from(size_px[1].max(1)));
        let (shift_x, shift_y) = (1.0 - 2.0 * k.cx_px / w, 2.0 * k.cy_px / h - 1.0);
        let (backward, offset) = match self.lens {
            Lens::Orthographic(height) => {
                let per_unit = 0.5 / orthographic_reach(height, near);
                (
                    DVec4::new(0.0, 0.0, per_unit, 0.0),
                    DVec4::new(-shift_x, -shift_y, 0.5, 1.0),
                )
            }
            Lens::FieldOfView(_) | Lens::Camera { .. } => (
                DVec4::new(shift_x, shift_y, 0.0, -1.0),
                DVec4::new(0.0, 0.0, near, 0.0),
            ),
        };
        let clip_from_view = DMat4::from_cols(
            DVec4::new(2.0 * k.fx_px / w, 0.0, 0.0, 0.0),
            DVec4::new(0.0, 2.0 * k.fy_px / h, 0.0, 0.0),
            backward,
            offset,
        );
        let view_from_world =
            DMat4::from_mat3(self.view_from_world) * DMat4::from_translation(-self.position);
        clip_from_view * view_from_world
    }

    /// `(a, b)` such that a change of the depth `z` by `a z + b` is a change of the distance by its
    /// own size; for parallel rays the height of the picture stands for the distance.
    pub fn depth_metric(&self, near: f64) -> [f64; 2] {
        match self.lens {
            Lens::Orthographic(height) => [0.0, 0.5 * height / orthographic_reach(height, near)],
            Lens::FieldOfView(_) | Lens::Camera { .. } => [1.0, 0.0],
        }
    }

    /// Distance along the view axis from the depth bits of the visibility buffer; `None` where
    /// nothing was drawn.
    pub fn distance_of(&self, depth_bits: u32, near: f64) -> Option<f64> {
        let depth = f64::from(f32::from_bits(depth_bits));
        (depth_bits != 0).then(|| match self.lens {
            Lens::Orthographic(height) => orthographic_reach(height, near) * (1.0 - 2.0 * depth),
            Lens::FieldOfView(_) | Lens::Camera { .. } => near / depth,
        })
    }
}

/// How far before and behind the eye parallel rays keep points apart. The near plane is a share of
/// the scene's depth and the height grows with the view, so a reach of fifty of either holds what
/// can be told apart on the picture, in steps of a hundred-thousandth of it.
fn orthographic_reach(height: f64, near: f64) -> f64 {
    (25_000.0 * near).max(50.0 * height)
}

#[cfg(test)]
mod tests {
    use one4d_engine::geometry::WorldFromCamera;

    use super::*;

    const SIZE: [u32; 2] = [640, 360];

    fn eye() -> Eye {
        let camera = Camera {
            intrinsics: Intrinsics::centred(120.0, 160, 96),
            world_from_camera: WorldFromCamera {
                rotation: DMat3::from_rotation_y(0.3) * DMat3::from_rotation_x(-0.2),
                translation: DVec3::new(0.5, -0.3, -1.0),
            },
        };
        Eye::through_camera(&camera, 160, 96)
    }

    #[test]
    fn looking_through_a_camera_shows_its_image_whole_and_centred() {
        let eye = eye();
        let fit = 360.0 / 96.0;
        let point = eye.unproject(DVec2::new(320.0, 180.0), 3.0, SIZE);
        let middle = eye.project(point, SIZE).unwrap();
        assert!((middle - DVec2::new(320.0, 180.0)).length() < 1e-9);
        assert!((eye.intrinsics(SIZE).fx_px - 120.0 * fit).abs() < 1e-9);
        assert!((eye.distance(point) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn clip_space_agrees_with_projection() {
        for eye in [
            eye(),
            Eye {
                lens: Lens::FieldOfView(0.9),
                ..eye()
            },
        ] {
            let near = 0.02;
            let point = eye.unproject(DVec2::new(100.0, 300.0), 4.0, SIZE);
            let clip = eye.clip_from_world(SIZE, near) * point.extend(1.0);
            let at = DVec2::new(
                (clip.x / clip.w * 0.5 + 0.5) * 640.0,
                (0.5 - clip.y / clip.w * 0.5) * 360.0,
            );
            assert!((at - DVec2::new(100.0, 300.0)).length() < 1e-9);
            assert!((clip.w - 4.0).abs() < 1e-12 && (clip.z - near).abs() < 1e-15);
        }
    }

    #[test]
    fn parallel_rays_keep_size_and_tell_distances_apart_on_both_sides_of_the_eye() {
        let eye = Eye {
            lens: Lens::Orthographic(2.0),
            ..eye()
        };
        let near = 0.01;
        let mut last = f32::INFINITY;
        for distance in [-3.0, -0.5, 0.0, 0.001, 4.0, 60.0] {
            let point = eye.unproject(DVec2::new(100.0, 300.0), distance, SIZE);
            let at = eye.project(point, SIZE).unwrap();
            assert!((at - DVec2::new(100.0, 300.0)).length() < 1e-9);
            assert!((eye.distance(point) - distance).abs() < 1e-9);
            let clip = eye.clip_from_world(SIZE, near) * point.extend(1.0);
            let x_px = (clip.x / clip.w * 0.5 + 0.5) * 640.0;
            assert!((x_px - 100.0).abs() < 1e-9 && clip.w == 1.0);
            let depth = clip.z as f32;
            assert!(depth < last && depth > 0.0 && depth < 1.0);
            last = depth;
            let back = eye.distance_of(depth.to_bits(), near).unwrap();
            assert!((back - distance).abs() < 1e-4, "{back} of {distance}");
        }
        let moved = eye.unproject(DVec2::new(101.0, 300.0), 1.0, SIZE)
            - eye.unproject(DVec2::new(100.0, 300.0), 1.0, SIZE);
        assert!((moved.length() - 2.0 / 360.0).abs() < 1e-12);
    }

    #[test]
    fn the_depth_metric_turns_depths_into_shares_of_the_distance() {
        let near = 0.01;
        for lens in [Lens::FieldOfView(0.9), Lens::Orthographic(4.0)] {
            let eye = Eye { lens, ..eye() };
            let depth = |distance: f64| {
                let point = eye.unproject(DVec2::new(320.0, 180.0), distance, SIZE);
                let clip = eye.clip_from_world(SIZE, near) * point.extend(1.0);
                clip.z / clip.w
            };
            // At distance 4 the height of 4 and the distance are the same length.
            let [a, b] = eye.depth_metric(near);
            let share = (depth(4.0) - depth(4.001)) / (a * depth(4.0) + b);
            assert!((share - 0.00025).abs() < 1e-6, "{share}");
        }
    }

    #[test]
    fn depth_bits_give_back_the_distance() {
        let bits = (0.01_f32 / 4.0).to_bits();
        let distance = eye().distance_of(bits, 0.01).unwrap();
        assert!((distance - 4.0).abs() < 1e-5);
        assert!(eye().distance_of(0, 0.01).is_none());
    }

    #[test]
    fn view_axes_are_right_up_back() {
        let camera = Camera {
            intrinsics: Intrinsics::centred(100.0, 10, 10),
            world_from_camera: WorldFromCamera::IDENTITY,
        };
        let eye = Eye::through_camera(&camera, 10, 10);
        assert_eq!(
            (eye.right(), eye.up(), eye.forward()),
            (DVec3::X, -DVec3::Y, DVec3::Z)
        );
    }
}
