//! Promise 4b by types: what a connector must not do does not compile, and for that reason and no other. The expected
//! errors lie beside the cases; `TRYBUILD=overwrite cargo test -p inboxclaw-contract` renews them.

#[test]
fn what_a_connector_must_not_do_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
