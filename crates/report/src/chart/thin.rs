//! Fewer points that look the same.

/// A series of more points than this is thinned.
pub const LIMIT: usize = 5000;

/// `points`, in the order of x; if there are more than [`LIMIT`], only those with the least and the
/// greatest y of each column of pixels, so that no extreme is lost. `column` gives the column of
/// an x.
pub fn thin(points: &[(f64, f64)], column: impl Fn(f64) -> i64) -> Vec<(f64, f64)> {
    if points.len() <= LIMIT {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let by_y =
            |(_, a): &(usize, &(f64, f64)), (_, b): &(usize, &(f64, f64))| a.1.total_cmp(&b.1);
        let points = || group.iter().enumerate();
        let (Some(least), Some(most)) = (points().min_by(by_y), points().max_by(by_y)) else {
            continue;
        };
        let mut both = [least.0, most.0];
        both.sort_unstable();
        kept.push(group[both[0]]);
        if both[0] != both[1] {
            kept.push(group[both[1]]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes_of_every_column_and_nothing_else() {
        // 100 columns of 100 points; in column 7 one stands out upwards, in column 8 down.
        let mut points: Vec<(f64, f64)> = (0..10_000)
            .map(|i| (f64::from(i), f64::from(i % 10)))
            .collect();
        points[755].1 = 99.0;
        points[812].1 = -99.0;
        let kept = thin(&points, |x| (x / 100.0) as i64);
        assert_eq!(kept.len(), 200);
        assert!(kept.contains(&(755.0, 99.0)) && kept.contains(&(812.0, -99.0)));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn few_points_are_all_kept() {
        let points: Vec<(f64, f64)> = (0..LIMIT).map(|i| (i as f64, 0.0)).collect();
        assert_eq!(thin(&points, |_| 0), points);
    }
}
