//! The README says what the code does: its table of settings is the one that the service reads.

use order_svc::OrderService;
use runtime::bootstrap::settings_table;
use runtime::settings::markdown_table;

const BEGIN: &str = "<!-- settings: begin -->";
const END: &str = "<!-- settings: end -->";

#[test]
fn settings_table_of_the_readme_is_right() {
    let readme = include_str!("../README.md");
    let section = readme.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(section, _)| section);
    let section = section.expect("README.md has the two marker comments around its table of settings");
    let right = markdown_table(&settings_table::<OrderService>());
    assert!(
        section.trim() == right.trim(),
        "the table in order-svc/README.md is not what the service reads; the right one, to go between its markers:\n\n{right}"
    );
}
