//! How tables are drawn: their greatest width, and with which characters.

use butter_cli::terminal::Charset;
use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

/// Narrowest table: in less room, words would be cut letter by letter.
const WIDTH_MIN: u16 = 40;

/// How tables are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStyle {
    /// Most columns of characters of a line; `None` for as many as the cells take, as in a file.
    pub width: Option<u16>,
    /// Characters that tables are drawn with.
    pub charset: Charset,
}

impl Default for TableStyle {
    fn default() -> Self {
        TableStyle { width: None, charset: Charset::Utf8 }
    }
}

impl TableStyle {
    /// An empty table with this header.
    pub(crate) fn table<T: Into<String>>(self, header: impl IntoIterator<Item = T>) -> Table {
        let mut table = Table::new();
        if self.charset == Charset::Ascii {
            table.load_preset(presets::ASCII_FULL_CONDENSED);
        } else {
            table.load_preset(presets::UTF8_FULL_CONDENSED).apply_modifier(UTF8_ROUND_CORNERS);
        }
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(WIDTH_MIN));
        }
        table.set_header(header.into_iter().map(|title| Cell::new(self.charset.encode(&title.into()))));
        table
    }
}

/// Adds a row in the characters that `style` allows.
pub(crate) fn add_row<T: Into<String>>(table: &mut Table, style: TableStyle, row: impl IntoIterator<Item = T>) {
    table.add_row(row.into_iter().map(|cell| style.charset.encode(&cell.into())));
}

/// Aligns numbers to the right, from this column on.
pub(crate) fn right_aligned(mut table: Table, from: usize) -> Table {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Leaves columns out, those named first, until the table is no wider than its style, and says which. What is still too wide then has
/// cells of several lines.
pub(crate) fn fitted(mut table: Table, style: TableStyle, by_rank: &[usize]) -> String {
    let Some(width) = style.width else { return table.to_string() };
    let mut left_out = Vec::new();
    for &column in by_rank {
        if natural_width(&table) <= usize::from(width) {
            break;
        }
        if let Some(shown) = table.column_mut(column) {
            shown.set_constraint(ColumnConstraint::Hidden);
            left_out.push(column);
        }
    }
    let names = |column: &usize| table.header()?.cell_iter().nth(*column).map(|cell| cell.content());
    let names: Vec<String> = left_out.iter().filter_map(names).collect();
    match names.is_empty() {
        true => table.to_string(),
        false => format!("{table}\n(too narrow for: {})", names.join(", ")),
    }
}

/// Columns of characters that a table takes if no cell is broken into lines.
pub(crate) fn natural_width(table: &Table) -> usize {
    let mut free = table.clone();
    free.set_content_arrangement(ContentArrangement::Disabled);
    free.lines().map(|line| line.chars().count()).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_tables_hold_no_other_character() {
        let style = TableStyle { charset: Charset::Ascii, ..TableStyle::default() };
        let mut table = style.table(["from ↓ to →", "p50"]);
        add_row(&mut table, style, ["a", "–"]);
        let text = table.to_string();
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("from v to >"), "{text}");
    }

    #[test]
    fn columns_go_by_their_rank_and_are_named() {
        let style = TableStyle { width: Some(40), charset: Charset::Utf8 };
        let mut table = style.table(["name", "weight in kilograms", "height in metres"]);
        add_row(&mut table, style, ["an elephant", "6000", "3"]);
        let text = fitted(table.clone(), style, &[2, 1]);
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(
            text.contains("6000") && !text.contains(" 3 ") && text.ends_with("(too narrow for: height in metres)"),
            "{text}"
        );
        assert!(!fitted(table, TableStyle::default(), &[2, 1]).contains("too narrow"));
    }

    #[test]
    fn tables_are_no_wider_than_their_style() {
        let style = TableStyle { width: Some(60), charset: Charset::Utf8 };
        let mut table = style.table((0..8).map(|column| format!("column {column}")));
        add_row(&mut table, style, (0..8).map(|column| format!("value {column}")));
        let text = table.to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }
}
