//! One instant of a world, prepared for rays: what a ray hits, and what lies between a point and the light.

use glam::{Affine3A, Mat3A, Vec3A};

use super::motion::{ball_radius, cube_radius, inverse_with_normals};
use super::shape::Shape;
use super::texture::Material;
use super::world::{Part, Surroundings, World};

/// Surfaces of the surroundings come first, then the solids, then sky.
pub(super) const FIRST_SOLID: u32 = 8;
/// Identifies the sky.
pub(super) const SKY: u32 = u32::MAX;

/// One step in time: a map at two neighbouring frames as what the first does and what changes.
struct Solid<'a> {
    shape: Shape,
    part: &'a Part,
    part_from_stage: Affine3A,
    /// Encloses it in the stage.
    ball: Ball,
    /// Normals of the part to the stage.
    normal_map: Mat3A,
    /// The camera in the part's coordinates, and its ray directions there.
    eye: Vec3A,
    part_from_camera: Mat3A,
    /// Pixels that it may cover: first and end column, first and end row.
    window: [i32; 4],
    /// Position now to motion until the next frame; `None` if it does not move.
    step: Option<Affine3A>,
}

/// A sphere in the stage.
#[derive(Clone, Copy)]
struct Ball {
    centre: Vec3A,
    radius_sq: f32,
}

impl Ball {
    /// False only if a ray from `origin` along `direction` of squared length `length_sq` passes by.
    #[inline]
    fn may_be_met(&self, origin: Vec3A, direction: Vec3A, length_sq: f32) -> bool {
        let to_centre = self.centre - origin;
        let along = to_centre.dot(direction);
        let distance_sq = to_centre.length_squared();
        // The ray's closest approach, without a division.
        let passes = distance_sq * length_sq - along * along > self.radius_sq * length_sq;
        !passes && (along >= 0.0 || distance_sq <= self.radius_sq)
    }
}

/// A sphere in the stage about the solids `first..end`.
struct Cluster {
    ball: Ball,
    first: usize,
    end: usize,
}

/// The pinhole of one frame, in single precision.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Stage position of the camera.
    pub(super) eye: Vec3A,
    /// Camera directions to the stage.
    pub(super) stage_from_camera: Mat3A,
    pub(super) focal_px: f32,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl View {
    /// Ray through image position `(u, v)` in pixels, z = 1.
    #[inline]
    pub(super) fn ray(&self, u: f32, v: f32) -> Vec3A {
        Vec3A::new(
            (u - 0.5 * self.width as f32) / self.focal_px,
            (v - 0.5 * self.height as f32) / self.focal_px,
            1.0,
        )
    }
}

/// What a ray sees.
pub(super) struct Hit<'a> {
    /// z-depth, as rays have z = 1.
    pub(super) depth: f32,
    /// Which surface; differs across every silhouette.
    pub(super) id: u32,
    /// Stage position.
    pub(super) position: Vec3A,
    /// Unit normal in the stage, towards the camera.
    pub(super) normal: Vec3A,
    /// Position and normal in the axes of the surface's texture.
    pub(super) texture: (Vec3A, Vec3A),
    pub(super) material: &'a Material,
    /// Motion of the surface point until the next frame, stage axes.
    pub(super) step: Vec3A,
}

/// A world at one frame.
pub(super) struct Instant<'a> {
    pub(super) world: &'a World,
    pub(super) view: View,
    solids: Vec<Solid<'a>>,
    clusters: Vec<Cluster>,
}

impl<'a> Instant<'a> {
    /// Places every solid at `time` and notes its motion until `next`.
    pub(super) fn new(world: &'a World, view: View, time: f32, next: f32) -> Self {
        let mut instant = Self {
            world,
            view,
            solids: Vec::new(),
            clusters: Vec::new(),
        };
        for object in &world.objects {
            let now = object.stage_from_object(time);
            let later = (!object.motion.is_still()).then(|| object.stage_from_object(next));
            let first = instant.solids.len();
            let mut spheres = Vec::with_capacity(object.parts.len());
            for part in &object.parts {
                let stage_from_part = now * part.object_from_solid;
                let step =
                    later.map(|later| difference(later * part.object_from_solid, stage_from_part));
                let radius = bounding_radius(part.shape, &stage_from_part);
                spheres.push((stage_from_part.translation, radius));
                instant.add(part, &stage_from_part, radius, step);
            }
            let (centre, radius) = enclose(&spheres);
            instant.clusters.push(Cluster {
                ball: Ball {
                    centre,
                    radius_sq: radius * radius,
                },
                first,
                end: instant.solids.len(),
            });
        }
        instant
    }

    fn add(
        &mut self,
        part: &'a Part,
        stage_from_part: &Affine3A,
        radius: f32,
        step: Option<Affine3A>,
    ) {
        let (part_from_stage, normal_map) = inverse_with_normals(stage_from_part);
        let view = &self.view;
        let in_camera =
            view.stage_from_camera.transpose() * (stage_from_part.translation - view.eye);
        let columns = span(in_camera.x, in_camera.z, radius, view.focal_px, view.width);
        let rows = span(in_camera.y, in_camera.z, radius, view.focal_px, view.height);
        self.solids.push(Solid {
            shape: part.shape,
            part,
            eye: part_from_stage.transform_point3a(view.eye),
            part_from_camera: part_from_stage.matrix3 * view.stage_from_camera,
            part_from_stage,
            ball: Ball {
                centre: stage_from_part.translation,
                // The slack covers rounding at its surface.
                radius_sq: radius * radius * 1.001,
            },
            normal_map,
            window: [columns.0, columns.1, rows.0, rows.1],
            step,
        });
    }

    /// Solids that may cover pixels of row `row`.
    pub(super) fn solids_of_row(&self, row: usize, out: &mut Vec<usize>) {
        let row = row as i32;
        out.clear();
        out.extend((0..self.solids.len()).filter(|&index| {
            let [left, right, top, bottom] = self.solids[index].window;
            left < right && top <= row && row < bottom
        }));
    }

    /// What the ray through image position `(u, v)` of pixel column `column` sees; `None` is sky.
    #[inline]
    pub(super) fn trace(
        &self,
        candidates: &[usize],
        column: usize,
        u: f32,
        v: f32,
    ) -> Option<Hit<'_>> {
        let ray = self.view.ray(u, v);
        let direction = self.view.stage_from_camera * ray;
        let (mut depth, surface) = self.surroundings(direction);
        let mut nearest = None;
        let column = column as i32;
        for &index in candidates {
            let solid = &self.solids[index];
            if column < solid.window[0] || column >= solid.window[1] {
                continue;
            }
            let local = solid.part_from_camera * ray;
            if let Some(t) = solid.shape.hit(solid.eye, local, 0.02, depth) {
                depth = t;
                nearest = Some((index, solid.eye + local * t));
            }
        }
        let position = self.view.eye + direction * depth;
        match (nearest, surface) {
            (Some((index, p)), _) => Some(self.solid_hit(index, p, position, depth)),
            (None, Some(face)) => Some(face.hit(position, depth)),
            (None, None) => None,
        }
    }

    fn solid_hit(&self, index: usize, p: Vec3A, position: Vec3A, depth: f32) -> Hit<'_> {
        let solid = &self.solids[index];
        let own_normal = solid.shape.normal(p);
        let normal = (solid.normal_map * own_normal).normalize_or(Vec3A::Y);
        Hit {
            depth,
            id: FIRST_SOLID + index as u32,
            position,
            normal,
            texture: (p * solid.part.extent, own_normal),
            material: &solid.part.material,
            step: solid
                .step
                .as_ref()
                .map_or(Vec3A::ZERO, |step| step.transform_point3a(p)),
        }
    }

    /// Depth and face of the surroundings along a direction; infinite for sky.
    #[inline]
    fn surroundings(&self, direction: Vec3A) -> (f32, Option<Face<'a>>) {
        let eye = self.view.eye;
        match &self.world.surroundings {
            Surroundings::Room {
                low,
                high,
                floor,
                walls,
                ceiling,
            } => {
                let side = Vec3A::select(direction.cmpgt(Vec3A::ZERO), *high, *low);
                let t = (side - eye) / direction;
                // A ray along a wall never meets it, whatever the sign of its zero.
                let t = Vec3A::select(t.is_finite_mask(), t, Vec3A::INFINITY);
                let depth = t.min_element();
                let (axis, material) = if t.y <= depth {
                    let up = direction.y > 0.0;
                    (Vec3A::Y, if up { ceiling } else { floor })
                } else if t.x <= depth {
                    (Vec3A::X, walls)
                } else {
                    (Vec3A::Z, walls)
                };
                let positive = axis.dot(direction) > 0.0;
                let number = axis.dot(Vec3A::new(0.0, 2.0, 4.0)) as u32 + u32::from(positive);
                let normal = if positive { -axis } else { axis };
                (
                    depth,
                    Some(Face {
                        id: number,
                        normal,
                        material,
                    }),
                )
            }
            Surroundings::Ground { material, far } => {
                let depth = -eye.y / direction.y;
                if depth > 0.0 && depth * depth * direction.length_squared() < far * far {
                    (
                        depth,
                        Some(Face {
                            id: 6,
                            normal: Vec3A::Y,
                            material,
                        }),
                    )
                } else {
                    (f32::INFINITY, None)
                }
            }
        }
    }

    /// True if a solid lies on the segment from `origin` along `direction` up to parameter `reach`.
    #[inline]
    pub(super) fn shadowed(&self, origin: Vec3A, direction: Vec3A, reach: f32) -> bool {
        let length_sq = direction.length_squared();
        for cluster in &self.clusters {
            if !cluster.ball.may_be_met(origin, direction, length_sq) {
                continue;
            }
            for solid in &self.solids[cluster.first..cluster.end] {
                if !solid.ball.may_be_met(origin, direction, length_sq) {
                    continue;
                }
                let o = solid.part_from_stage.transform_point3a(origin);
                let d = solid.part_from_stage.matrix3 * direction;
                if solid.shape.hit(o, d, 1e-3, reach).is_some() {
                    return true;
                }
            }
        }
        false
    }

    /// Share of the open half space that nearby objects leave to a point of the surroundings, 0..1.
    #[inline]
    pub(super) fn openness(&self, position: Vec3A, normal: Vec3A) -> f32 {
        let mut open = 1.0;
        for cluster in &self.clusters {
            if cluster.end - cluster.first > 12 {
                continue;
            }
            let to_centre = cluster.ball.centre - position;
            let distance_sq = to_centre.length_squared();
            let radius_sq = cluster.ball.radius_sq * 0.45;
            if distance_sq > radius_sq * 12.0 {
                continue;
            }
            let cosine = (normal.dot(to_centre) / distance_sq.sqrt()).max(0.0);
            let cover = cosine * (radius_sq / distance_sq).min(1.0);
            open *= 1.0 - 0.7 * cover;
        }
        open
    }
}

/// A plane of the surroundings.
struct Face<'a> {
    id: u32,
    normal: Vec3A,
    material: &'a Material,
}

impl<'a> Face<'a> {
    fn hit(&self, position: Vec3A, depth: f32) -> Hit<'a> {
        Hit {
            depth,
            id: self.id,
            position,
            normal: self.normal,
            texture: (position, self.normal),
            material: self.material,
            step: Vec3A::ZERO,
        }
    }
}

/// `later - now` as a map of positions to motions.
fn difference(later: Affine3A, now: Affine3A) -> Affine3A {
    Affine3A {
        matrix3: later.matrix3 - now.matrix3,
        translation: later.translation - now.translation,
    }
}

fn bounding_radius(shape: Shape, map: &Affine3A) -> f32 {
    match shape {
        Shape::Sphere | Shape::Torus => ball_radius(map),
        _ => cube_radius(map),
    }
}

/// A sphere about all spheres: their mean centre and the farthest reach.
fn enclose(spheres: &[(Vec3A, f32)]) -> (Vec3A, f32) {
    let centre = spheres.iter().map(|s| s.0).sum::<Vec3A>() / spheres.len().max(1) as f32;
    let radius = spheres
        .iter()
        .map(|(c, r)| (*c - centre).length() + r)
        .fold(0.0, f32::max);
    (centre, radius)
}

/// Pixels of one axis that a sphere may cover, one more on both sides for sub-pixel samples.
fn span(lateral: f32, z: f32, radius: f32, focal_px: f32, pixels: usize) -> (i32, i32) {
    if z <= -radius {
        return (0, 0);
    }
    if z <= radius * 1.001 {
        return (0, pixels as i32);
    }
    let distance = (lateral * lateral + z * z).sqrt();
    let (middle, half) = (lateral.atan2(z), (radius / distance).min(1.0).asin());
    let to_px = |angle: f32| focal_px * angle.tan() + 0.5 * pixels as f32;
    let first = (to_px(middle - half) - 2.0).clamp(0.0, pixels as f32);
    let end = (to_px(middle + half) + 2.0).clamp(0.0, pixels as f32);
    (first as i32, end as i32)
}
