//! From metres in the plane to degrees on the Earth.

use crate::position::Position;

/// The Earth as a sphere: IUGG's mean radius R1, metres.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Where on the Earth the plane's origin is.
///
/// The plane is laid there by the equirectangular projection whose true parallel is the origin's own: a metre north is one
/// everywhere, and a metre east is one at the origin's latitude. At 50° and 10 km from there an east-west distance is off by
/// 0.2 %: enough for a testbed's radios, and no survey.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Origin {
    /// Degrees north, at most [`Origin::LIMIT_DEG`] either way.
    pub latitude_deg: f64,
    /// Degrees east, at most 180 either way.
    pub longitude_deg: f64,
}

impl Origin {
    /// The greatest latitude of an origin: everything within [`Position::LIMIT_M`] is on this side of the pole then.
    pub const LIMIT_DEG: f64 = 80.0;

    /// Latitude and longitude of a place, degrees: to 1e-7, which is a centimetre, and the longitude from -180 to 180.
    pub fn degrees(self, place: Position) -> (f64, f64) {
        let parallel = self.latitude_deg.to_radians().cos();
        let north = (place.y_m / EARTH_RADIUS_M).to_degrees();
        let east = (place.x_m / (EARTH_RADIUS_M * parallel)).to_degrees();
        let longitude = (self.longitude_deg + east + 180.0).rem_euclid(360.0) - 180.0;
        (rounded(self.latitude_deg + north), rounded(longitude))
    }
}

/// To 1e-7. Minus zero is zero.
fn rounded(degrees: f64) -> f64 {
    (degrees * 1e7).round() / 1e7 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude_deg: f64, longitude_deg: f64, x_m: f64, y_m: f64) -> (f64, f64) {
        let origin = Origin {
            latitude_deg,
            longitude_deg,
        };
        origin.degrees(Position { x_m, y_m })
    }

    #[test]
    fn the_origin_is_where_it_is_said_to_be() {
        assert_eq!(at(50.1, 8.6, 0.0, 0.0), (50.1, 8.6));
        assert_eq!(at(0.0, 0.0, -0.0, 0.0), (0.0, 0.0));
    }

    /// A degree of a sphere of R1 is 111,195.08 m.
    #[test]
    fn a_degree_is_as_long_as_that_of_the_sphere() {
        assert_eq!(at(0.0, 0.0, 111_195.08, 111_195.08), (1.0, 1.0));
        // At 60° a degree of longitude is half as long.
        assert_eq!(at(60.0, 0.0, 111_195.08, 0.0), (60.0, 2.0));
        assert_eq!(at(60.0, 0.0, 0.0, -111_195.08), (59.0, 0.0));
    }

    #[test]
    fn the_longitude_goes_on_at_the_other_side() {
        assert_eq!(at(0.0, 179.5, 111_195.08, 0.0), (0.0, -179.5));
        assert_eq!(at(0.0, -179.5, -111_195.08, 0.0), (0.0, 179.5));
    }

    #[test]
    fn nothing_in_the_plane_is_beyond_a_pole() {
        for (origin, y_m) in [(80.0, Position::LIMIT_M), (-80.0, -Position::LIMIT_M)] {
            let (latitude, _) = at(origin, 0.0, Position::LIMIT_M, y_m);
            assert!((-90.0..=90.0).contains(&latitude), "{latitude}");
        }
    }
}
