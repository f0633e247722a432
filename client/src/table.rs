//! Tables for people.

use comfy_table::{Cell, ContentArrangement, LineStyle, Table, TableStyle};

use crate::output::plain;

/// One line under the header, none between the rows.
pub(crate) const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─'));

pub(crate) const WIDTH_OF_A_FILE: u16 = 140;

/// Rows under a header, with the end of the last line.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    if !table.is_tty() {
        table.set_width(WIDTH_OF_A_FILE);
    }
    for row in rows {
        table.add_row(row.map(|text| Cell::new(plain(&text))));
    }
    table.trim_fmt() + "\n"
}
