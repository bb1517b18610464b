//! One table of figures as text, CSV, LaTeX and JSON.
//!
//! A sequence that could not be measured keeps its row and says why; it never just disappears.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::metrics::Table;

/// A figure of every row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its key in JSON and CSV.
    pub(super) key: &'static str,
    /// Its heading for people.
    pub(super) label: &'static str,
    /// Its heading in LaTeX; `None` leaves it out of the paper's table.
    pub(super) latex: Option<&'static str>,
    /// Decimals printed.
    pub(super) decimals: usize,
    /// What it is multiplied by for people: 100 for percent.
    pub(super) factor: f64,
}

/// How a sequence fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It was measured.
    Measured,
    /// Some of its figures could be measured.
    Partly,
    /// Prediction or truth is not there.
    Missing,
    /// Something is there and cannot be used.
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Partly => "in part",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// One sequence.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) sequence: String,
    pub(super) status: Status,
    /// Why it was not measured, or not whole; empty where it was.
    pub(super) reason: String,
    /// One a column; empty where it was not measured.
    pub(super) figures: Vec<Option<f64>>,
    /// What a reader of the figures should know.
    pub(super) notes: Vec<String>,
}

/// A published row: a figure for each column of the paper's table.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) method: &'static str,
    pub(super) figures: Vec<f64>,
    pub(super) source: &'static str,
}

/// Everything that is reported of one evaluation.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// What was measured and how, one line.
    pub(super) title: String,
    /// The same as JSON.
    pub(super) settings: Value,
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// Means by the rule that their names state, one figure a column.
    pub(super) means: Vec<(String, Vec<Option<f64>>)>,
    pub(super) published: Vec<Published>,
}

impl Report {
    /// Sequences that were measured.
    fn measured(&self) -> usize {
        let is_measured = |row: &&Row| row.status == Status::Measured;
        self.rows.iter().filter(is_measured).count()
    }

    /// "n of m sequences".
    pub(super) fn count(rows: &[Row]) -> String {
        let n = rows.iter().filter(|r| r.status == Status::Measured).count();
        format!("{n} of {} sequences", rows.len())
    }

    /// The table for people.
    pub(super) fn to_text(&self) -> String {
        let mut header = vec!["sequence"];
        header.extend(self.columns.iter().map(|c| c.label));
        let mut table = Table::new(&header);
        for row in &self.rows {
            let name = match row.status {
                Status::Measured => row.sequence.clone(),
                other => format!("{} ({})", row.sequence, other.name()),
            };
            table.push(name, &self.printed(&row.figures));
        }
        for (name, figures) in &self.means {
            table.push(name.clone(), &self.printed(figures));
        }
        let mut text = format!("{}\n\n{table}", self.title);
        for row in self.rows.iter().filter(|r| r.status != Status::Measured) {
            let _ = write!(
                text,
                "\n{} {}: {}",
                row.sequence,
                row.status.name(),
                row.reason
            );
        }
        for row in &self.rows {
            for note in &row.notes {
                let _ = write!(text, "\n{}: {note}", row.sequence);
            }
        }
        if !self.published.is_empty() {
            let paper: Vec<&Column> = self.paper_columns().collect();
            let mut header = vec!["published"];
            header.extend(paper.iter().map(|c| c.label));
            header.push("source");
            let mut table = Table::new(&header);
            for row in &self.published {
                let mut cells: Vec<Option<String>> = paper
                    .iter()
                    .zip(&row.figures)
                    .map(|(column, figure)| Some(column.print(*figure)))
                    .collect();
                cells.push(Some(row.source.to_owned()));
                table.rows.push((row.method.to_owned(), cells));
            }
            let _ = write!(text, "\n\n{table}");
        }
        text
    }

    fn paper_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|c| c.latex.is_some())
    }

    fn printed(&self, figures: &[Option<f64>]) -> Vec<(Option<f64>, usize)> {
        self.columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let figure = figures.get(i).copied().flatten();
                (figure.map(|x| x * column.factor), column.decimals)
            })
            .collect()
    }

    /// One line a sequence and a mean; fields that hold commas or quotes are quoted (RFC 4180).
    pub(super) fn to_csv(&self) -> String {
        let mut text = String::from("sequence,status");
        for column in self.columns {
            let _ = write!(text, ",{}", column.key);
        }
        text.push_str(",note\n");
        for row in &self.rows {
            let reason = Some(&row.reason).filter(|reason| !reason.is_empty());
            let notes: Vec<&str> = reason
                .into_iter()
                .chain(&row.notes)
                .map(String::as_str)
                .collect();
            let name = &row.sequence;
            self.csv_line(
                &mut text,
                name,
                row.status.name(),
                &row.figures,
                &notes.join("; "),
            );
        }
        for (name, figures) in &self.means {
            self.csv_line(&mut text, name, "mean", figures, "");
        }
        text
    }

    fn csv_line(
        &self,
        text: &mut String,
        name: &str,
        status: &str,
        figures: &[Option<f64>],
        note: &str,
    ) {
        let _ = write!(text, "{},{status}", quoted(name));
        for i in 0..self.columns.len() {
            let figure = figures.get(i).copied().flatten();
            let figure = figure.map(|x| x.to_string()).unwrap_or_default();
            let _ = write!(text, ",{figure}");
        }
        let _ = writeln!(text, ",{}", quoted(note));
    }

    /// A `tabular` in the manner of booktabs: sequences, means, published rows.
    pub(super) fn to_latex(&self) -> String {
        let paper: Vec<&Column> = self.paper_columns().collect();
        let mut text = format!(
            "% {}\n\\begin{{tabular}}{{l{}}}\n\\toprule\nSequence",
            self.title.replace('\n', " "),
            "r".repeat(paper.len())
        );
        for column in &paper {
            let _ = write!(text, " & {}", column.latex.unwrap_or(column.label));
        }
        text.push_str(" \\\\\n\\midrule\n");
        let mut line = |name: &str, cells: Vec<String>| {
            let _ = writeln!(text, "{} & {} \\\\", escaped(name), cells.join(" & "));
        };
        let own = |figures: &[Option<f64>]| -> Vec<String> {
            self.columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.latex.is_some())
                .map(|(i, column)| match figures.get(i).copied().flatten() {
                    Some(figure) => column.print(figure),
                    None => "--".to_owned(),
                })
                .collect()
        };
        for row in &self.rows {
            line(&row.sequence, own(&row.figures));
        }
        for (name, figures) in &self.means {
            line(name, own(figures));
        }
        for row in &self.published {
            let figures = paper.iter().zip(&row.figures);
            let cells = figures.map(|(column, figure)| column.print(*figure));
            line(row.method, cells.collect());
        }
        let mut sources: Vec<&str> = self.published.iter().map(|row| row.source).collect();
        sources.dedup();
        text.push_str("\\bottomrule\n\\end{tabular}\n");
        for source in sources {
            let _ = writeln!(text, "% published: {source}");
        }
        text
    }

    /// The whole report.
    pub(super) fn to_json(&self) -> Value {
        let figures = |values: &[Option<f64>]| -> Map<String, Value> {
            self.columns
                .iter()
                .zip(values)
                .map(|(column, value)| (column.key.to_owned(), json!(value)))
                .collect()
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut object = figures(&row.figures);
                object.insert("sequence".to_owned(), json!(row.sequence));
                object.insert("status".to_owned(), json!(row.status.name()));
                object.insert("reason".to_owned(), json!(row.reason));
                object.insert("notes".to_owned(), json!(row.notes));
                Value::Object(object)
            })
            .collect();
        let means: Vec<Value> = self
            .means
            .iter()
            .map(|(name, values)| {
                let mut object = figures(values);
                object.insert("name".to_owned(), json!(name));
                Value::Object(object)
            })
            .collect();
        let published: Vec<Value> = self
            .published
            .iter()
            .map(|row| {
                let mut object: Map<String, Value> = self
                    .paper_columns()
                    .zip(&row.figures)
                    .map(|(column, value)| (column.key.to_owned(), json!(value)))
                    .collect();
                object.insert("method".to_owned(), json!(row.method));
                object.insert("source".to_owned(), json!(row.source));
                Value::Object(object)
            })
            .collect();
        let mut report = self.settings.clone();
        report["sequences"] = json!(rows);
        report["means"] = json!(means);
        report["published"] = json!(published);
        report["measured"] = json!(self.measured());
        report["of"] = json!(self.rows.len());
        report["complete"] = json!(self.measured() == self.rows.len());
        report["text"] = json!(self.to_text());
        report
    }
}

impl Column {
    fn print(&self, figure: f64) -> String {
        format!("{:.*}", self.decimals, figure * self.factor)
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Text that LaTeX prints as it stands.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                safe.push('\\');
                safe.push(c);
            }
            '\\' => safe.push_str("\\textbackslash{}"),
            '~' => safe.push_str("\\textasciitilde{}"),
            '^' => safe.push_str("\\textasciicircum{}"),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_escaped() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(escaped("alley_1 50 %"), "alley\\_1 50 \\%");
    }
}
