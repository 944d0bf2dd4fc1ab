//! The promise of fidelity `message`: exchanges take as long as with QUIC itself. `harness bench fidelity` measures the whole grid.

use std::time::Duration;

use butter_harness::bench::fidelity::{FidelityCell, FidelityTable, MEDIAN_ERROR_MAX, TAIL_ERROR_MAX};

/// Exchanges of each cell.
const EXCHANGES: usize = 400;

#[test]
fn exchanges_take_as_long_as_with_quic_itself() {
    let cell = |latency_ms, loss, rate_bps, reply_bytes| FidelityCell {
        latency: Duration::from_millis(latency_ms),
        loss,
        rate_bps,
        reply_bytes,
    };
    let cells = vec![
        cell(5, 0.0, None, 60_000),
        cell(40, 0.0, None, 100),
        cell(40, 0.0, Some(1_000_000), 60_000),
        cell(40, 0.03, None, 10_000),
        cell(150, 0.01, Some(10_000_000), 60_000),
        cell(150, 0.0, Some(1_000_000), 10_000),
    ];
    let table = FidelityTable::measure(cells, EXCHANGES, 3);
    assert_eq!(table.misses().count(), 0, "errors up to {MEDIAN_ERROR_MAX} and {TAIL_ERROR_MAX}:\n{table}");
}

#[test]
fn the_grid_is_every_combination_once() {
    let grid = FidelityCell::grid();
    assert_eq!(grid.len(), 81);
    let is_repeated = |(place, cell): (usize, &FidelityCell)| grid[..place].contains(cell);
    assert!(!grid.iter().enumerate().any(is_repeated));
}
