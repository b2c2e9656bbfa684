//! A flat index: a query is compared with every section, which finds the nearest ones exactly.
//!
//! A graph over vectors (HNSW) pays off among many. Among a few thousand it misses a tenth of what is near before it is
//! as fast as a comparison with all of them, in memory and at one byte a number. What rounding costs, a thousandth of a
//! cosine, the caller mends: it takes more than it needs and ranks them by the vectors themselves.

use multiversion::multiversion;

use crate::ids::RunbookId;
use crate::ranking::Weights;

/// A section's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its runbook.
    pub runbook_id: RunbookId,
    /// Its heading.
    pub section: String,
}

/// A section and its vectors, a byte a number.
#[derive(Debug)]
pub struct Entry {
    section: Section,
    builtin: Rounded,
    pod: Rounded,
}

impl Entry {
    /// One of a section, its builtin vector, and that of the pod's model, empty where there is none.
    pub fn new(section: Section, builtin: &[f32], pod: &[f32]) -> Self {
        Self { section, builtin: Rounded::of(builtin), pod: Rounded::of(pod) }
    }

    /// What it is of.
    pub fn section(&self) -> &Section {
        &self.section
    }
}

/// Every section, and its vectors.
#[derive(Debug, Default)]
pub struct FlatIndex {
    sections: Vec<Section>,
    builtin: Vectors,
    pod: Vectors,
}

impl FlatIndex {
    /// One over these.
    pub fn new(entries: Vec<Entry>) -> Self {
        let builtin = Vectors::new(entries.iter().map(|entry| &entry.builtin));
        let pod = Vectors::new(entries.iter().map(|entry| &entry.pod));
        Self { sections: entries.into_iter().map(|entry| entry.section).collect(), builtin, pod }
    }

    /// Compare a query with every section. Without a pod's vector the builtin cosine is the sum.
    pub fn compare(&self, builtin: &[f32], pod: Option<&[f32]>, weights: Weights) -> Compared<'_> {
        let builtin = self.builtin.cosines(builtin);
        let sums = pod.map(|pod| {
            let (b, p) = (weights.builtin as f32, weights.pod as f32);
            builtin.iter().zip(self.pod.cosines(pod)).map(|(builtin, pod)| b * builtin + p * pod).collect()
        });
        Compared { sections: &self.sections, builtin, sums }
    }
}

/// How near every section is to a query.
#[derive(Debug)]
pub struct Compared<'a> {
    sections: &'a [Section],
    builtin: Vec<f32>,
    sums: Option<Vec<f32>>,
}

impl<'a> Compared<'a> {
    /// The `count` sections with the highest weighted sums of cosines, in no order.
    pub fn nearest(&self, count: usize) -> Vec<&'a Section> {
        let places = best(self.sums.as_ref().unwrap_or(&self.builtin), count);
        places.into_iter().map(|place| &self.sections[place]).collect()
    }

    /// The best builtin cosine of any other runbook than this one.
    pub fn best_of_others(&self, runbook: &RunbookId) -> Option<f64> {
        let others = self.sections.iter().zip(&self.builtin).filter(|(section, _)| section.runbook_id != *runbook);
        others.map(|(_, &cosine)| f64::from(cosine)).reduce(f64::max)
    }
}

/// The places of the `count` highest scores; of equals the first.
fn best(scores: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    if count < places.len() {
        places.select_nth_unstable_by(count, |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        places.truncate(count);
    }
    places
}

/// A vector of length one, each number of it rounded to a whole multiple of `unit`; all zeros for one without a direction.
#[derive(Debug)]
struct Rounded {
    numbers: Vec<i8>,
    unit: f32,
}

impl Rounded {
    fn of(vector: &[f32]) -> Self {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        if !(length.is_finite() && length > 0.0) {
            return Self { numbers: vec![0; vector.len()], unit: 0.0 };
        }
        let step = largest / f32::from(i8::MAX);
        // Rounded by hand: f32::round is a call where the compiler may not count on SSE 4.
        let rounded = |x: &f32| (x / step + 0.5_f32.copysign(*x)) as i8;
        Self { numbers: vector.iter().map(rounded).collect(), unit: step / length }
    }
}

/// The vectors of all sections, the numbers of one dimension together: a dimension that the query does not have is never
/// read. The builtin vector of an alert has one in ten.
#[derive(Debug, Default)]
struct Vectors {
    numbers: Vec<i8>,
    units: Vec<f32>,
}

impl Vectors {
    fn new<'a>(vectors: impl ExactSizeIterator<Item = &'a Rounded> + Clone) -> Self {
        let (count, dimensions) =
            (vectors.len(), vectors.clone().map(|vector| vector.numbers.len()).max().unwrap_or(0));
        let mut numbers = vec![0; dimensions * count];
        for (place, vector) in vectors.clone().enumerate() {
            for (dimension, &number) in vector.numbers.iter().enumerate().filter(|(_, number)| **number != 0) {
                numbers[dimension * count + place] = number;
            }
        }
        Self { numbers, units: vectors.map(|vector| vector.unit).collect() }
    }

    fn cosines(&self, query: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.units.len()];
        if sums.is_empty() {
            return sums;
        }
        let dimensions = self.numbers.chunks_exact(sums.len()).zip(query);
        for (numbers, &factor) in dimensions.filter(|(_, factor)| **factor != 0.0) {
            add_multiples(&mut sums, numbers, factor);
        }
        let length = query.iter().map(|x| x * x).sum::<f32>().sqrt();
        let per_unit = if length > 0.0 { length.recip() } else { 0.0 };
        sums.iter().zip(&self.units).map(|(sum, unit)| sum * unit * per_unit).collect()
    }
}

/// Compiled for wider registers, too, and chosen when it runs: a third of the time where the processor has them.
#[multiversion(targets("x86_64+avx2"))]
fn add_multiples(sums: &mut [f32], numbers: &[i8], factor: f32) {
    for (sum, &number) in sums.iter_mut().zip(numbers) {
        *sum += factor * f32::from(number);
    }
}

#[cfg(test)]
mod tests;
