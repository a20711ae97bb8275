//! Tables of facts: `facts/*.txt`, with columns divided by `|`, several true values by `;`, and `-` for what is left
//! open.

use std::collections::BTreeMap;

/// The values of one row by column name; a cell may hold several.
pub type Row = BTreeMap<String, Vec<String>>;

/// One file of facts.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name without the ending.
    pub name: &'static str,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Its rows, in the order of the file.
    pub rows: Vec<Row>,
}

macro_rules! tables {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../facts/", $name, ".txt")))),*] };
}

/// Every file of facts.
const FILES: &[(&str, &str)] = tables![
    "animals",
    "borders",
    "colours",
    "countries",
    "elements",
    "inventions",
    "jobs",
    "landmarks",
    "mixes",
    "months",
    "mountains",
    "names",
    "opposites",
    "organs",
    "past",
    "planets",
    "plurals",
    "rivers",
    "rust",
    "shapes",
    "things",
    "units",
    "uses",
    "weekdays",
    "works"
];

/// All tables, by name.
pub fn tables() -> BTreeMap<&'static str, Table> {
    FILES.iter().map(|(name, text)| (*name, Table::parse(name, text))).collect()
}

impl Table {
    /// Reads a table. The files are part of the crate, so that a malformed one is our own mistake.
    fn parse(name: &'static str, text: &str) -> Self {
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
        let mut lines = text.lines();
        let columns = cells(lines.next().expect("a table has a header"));
        let rows = lines.map(|line| {
            let found = cells(line);
            assert_eq!(found.len(), columns.len(), "facts/{name}.txt: `{line}`");
            let values = |cell: &str| match cell {
                "-" => Vec::new(),
                cell => cell.split(';').map(|value| value.trim().to_string()).collect(),
            };
            columns.iter().cloned().zip(found.iter().map(|cell| values(cell))).collect()
        });
        let rows = rows.collect();
        Table { name, columns, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn column(tables: &BTreeMap<&str, Table>, table: &str, column: &str) -> Vec<String> {
        tables[table].rows.iter().flat_map(|row| row[column].clone()).collect()
    }

    #[test]
    fn no_subject_has_two_rows_and_no_cell_is_empty() {
        for (name, table) in tables() {
            let first = &table.columns[0];
            let subjects: Vec<String> = table.rows.iter().flat_map(|row| row[first].clone()).collect();
            let different: BTreeSet<&String> = subjects.iter().collect();
            assert!(matches!(name, "borders") || different.len() == subjects.len(), "{name}: a subject twice");
            for value in table.rows.iter().flat_map(|row| row.values().flatten()) {
                assert!(!value.is_empty() && !value.contains("  ") && value.is_ascii(), "{name}: `{value}`");
            }
        }
    }

    #[test]
    fn countries_agree_with_borders_landmarks_and_mountains() {
        let tables = tables();
        let countries: BTreeSet<String> = column(&tables, "countries", "name").into_iter().collect();
        for (table, name) in
            [("borders", "one"), ("borders", "other"), ("landmarks", "country"), ("mountains", "country")]
        {
            for country in column(&tables, table, name) {
                assert!(countries.contains(&country), "{table} names {country}");
            }
        }
        let mut seen = BTreeSet::new();
        for row in &tables["borders"].rows {
            let (one, other) = (&row["one"][0], &row["other"][0]);
            assert_ne!(one, other, "a country is no neighbour of itself");
            let pair = if one < other { (one, other) } else { (other, one) };
            assert!(seen.insert(pair), "{one} and {other} twice");
            let continents = |name: &String| {
                let row = tables["countries"].rows.iter().find(|row| row["name"][0] == *name).unwrap();
                row["continent"].clone()
            };
            let (a, b) = (continents(one), continents(other));
            let bridges = [("Colombia", "Panama")];
            let apart = !a.is_empty() && !b.is_empty() && a != b;
            assert!(!apart || bridges.contains(&(one.as_str(), other.as_str())), "{one} ({a:?}), {other} ({b:?})");
        }
        let capitals = column(&tables, "countries", "capital");
        assert_eq!(
            capitals.len(),
            capitals.iter().collect::<BTreeSet<_>>().len(),
            "a city is the capital of two countries"
        );
    }

    #[test]
    fn orders_are_closed_and_numbers_rise() {
        let tables = tables();
        for table in ["months", "weekdays"] {
            let rows = &tables[table].rows;
            for (i, row) in rows.iter().enumerate() {
                assert_eq!(row["after"], rows[(i + 1) % rows.len()]["name"], "{table}");
            }
        }
        let numbers: Vec<u32> = column(&tables, "elements", "number").iter().map(|n| n.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let days: u32 = tables["months"].rows.iter().map(|row| row["days"][0].parse::<u32>().unwrap()).sum();
        assert_eq!(days, 365);
        let planets: Vec<String> = column(&tables, "planets", "name");
        for (i, row) in tables["planets"].rows.iter().enumerate() {
            let beside = [i.checked_sub(1), Some(i + 1)].into_iter().flatten().filter_map(|j| planets.get(j));
            assert_eq!(row["neighbour"], beside.cloned().collect::<Vec<_>>());
        }
    }
}
