//! Tables of figures as text.

use std::fmt;

/// A table with named rows; a missing figure prints as a dash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Heading of the first column, then of each figure.
    pub header: Vec<String>,
    /// Row name and figures, as they are to be printed.
    pub rows: Vec<(String, Vec<Option<String>>)>,
}

impl Table {
    /// An empty table.
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&h| h.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row of figures with a fixed number of decimals each.
    pub fn push(&mut self, name: impl Into<String>, figures: &[(Option<f64>, usize)]) {
        let printed = figures
            .iter()
            .map(|(value, decimals)| value.map(|v| format!("{v:.decimals$}")))
            .collect();
        self.rows.push((name.into(), printed));
    }
}

impl fmt::Display for Table {
    /// Names to the left, figures to the right, columns two blanks apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![self.header.clone()];
        for (name, figures) in &self.rows {
            let figures = figures
                .iter()
                .map(|x| x.clone().unwrap_or_else(|| "-".to_owned()));
            lines.push(std::iter::once(name.clone()).chain(figures).collect());
        }
        let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                lines
                    .iter()
                    .filter_map(|l| l.get(c))
                    .map(|x| x.chars().count())
                    .max()
            })
            .map(|w| w.unwrap_or(0))
            .collect();
        for line in lines {
            for (column, cell) in line.iter().enumerate() {
                if column == 0 {
                    write!(f, "{cell:<width$}", width = widths[0])?;
                } else {
                    write!(f, "  {cell:>width$}", width = widths[column])?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
