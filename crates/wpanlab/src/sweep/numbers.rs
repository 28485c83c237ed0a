//! Which runs of a sweep: `--index` and `--shard`, and lists of indexes as engines have them.

use std::fmt;
use std::str::FromStr;

/// Indexes as Slurm and HyperQueue take them after `--array`: `3,17-20`. In order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers(Vec<(u64, u64)>);

impl Numbers {
    /// Those of `numbers`, which go up.
    pub fn of(numbers: impl IntoIterator<Item = u64>) -> Numbers {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Numbers(ranges)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last one.
    pub fn last(&self) -> Option<u64> {
        self.0.iter().map(|(_, last)| *last).max()
    }

    fn contains(&self, number: u64) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&number))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Numbers, String> {
        let wrong = || format!("`{text}` is no index from 1, or several such as 3,17-20");
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n > 0);
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, last))
        };
        let ranges = text.split(',').map(range).collect::<Option<Vec<_>>>();
        ranges.map(Numbers).ok_or_else(wrong)
    }
}

/// One of so many shards, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let shard = text.split_once('/').and_then(|(number, of)| {
            let (number, of) = (number.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&number).then_some(Shard { number, of })
        });
        shard.ok_or_else(|| format!("`{text}` is no shard such as 3/16, from 1/16 to 16/16"))
    }
}

/// Which runs.
#[derive(Clone, Debug)]
pub enum Which {
    /// These.
    Index(Numbers),
    /// Every so many, so that each shard has about as many of each point.
    Shard(Shard),
}

impl Which {
    /// Whether the run `index`, from 1, is one of them.
    pub fn has(&self, index: u64) -> bool {
        match self {
            Which::Index(numbers) => numbers.contains(index),
            Which::Shard(Shard { number, of }) => index % of == number % of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_written_as_an_array_of_jobs_has_them() {
        let text = |numbers: &[u64]| Numbers::of(numbers.iter().copied()).to_string();
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[3, 17, 18, 19, 20]), "3,17-20");
        assert_eq!(text(&[1, 2, 4]), "1-2,4");
        let read: Numbers = "3,17-20".parse().unwrap();
        assert_eq!(read.to_string(), "3,17-20");
        assert_eq!(read.last(), Some(20));
        for wrong in ["", "0", "3,", "20-17", "1-2-3", "x", "-1"] {
            wrong.parse::<Numbers>().unwrap_err();
        }
    }

    #[test]
    fn every_run_is_in_one_shard_and_shards_are_as_large_as_they_can_be() {
        for of in [1, 3, 16, 40] {
            let shards = (1..=of).map(|n| Which::Shard(format!("{n}/{of}").parse().unwrap()));
            let mut seen = vec![0; 38];
            for shard in shards {
                let own: Vec<u64> = (1..=37).filter(|index| shard.has(*index)).collect();
                let (few, many) = (37 / of as usize, 37_usize.div_ceil(of as usize));
                assert!((few..=many).contains(&own.len()), "{own:?}");
                own.iter().for_each(|index| seen[*index as usize] += 1);
            }
            assert!(seen[1..].iter().all(|times| *times == 1), "{of}: {seen:?}");
        }
        for wrong in ["0/4", "5/4", "1/0", "4", "a/4", "1/4/2"] {
            wrong.parse::<Shard>().unwrap_err();
        }
    }

    #[test]
    fn the_indexes_that_are_named_are_those_that_run() {
        let which = Which::Index("3,17-20".parse().unwrap());
        let own: Vec<u64> = (1..=25).filter(|index| which.has(*index)).collect();
        assert_eq!(own, [3, 17, 18, 19, 20]);
    }
}
