fn main() { let n = std::env::args().nth(1).map_or(1000, |a| a.parse().unwrap()); println!("{}", butter_harness::bench::sim(n, 1).unwrap()); }
