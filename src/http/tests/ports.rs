//! Ports that cannot be had.

use super::*;

#[test]
fn a_busy_port_names_its_owner() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let Err(Error::PortBusy { addr, owner }) = bind(first.addr()) else {
        panic!("bound twice")
    };
    assert_eq!(addr, first.addr());
    if cfg!(target_os = "linux") {
        assert_eq!(owner.map(|o| o.pid), Some(std::process::id()));
    }
    let elsewhere = bind("192.0.2.1:0".parse().unwrap());
    assert!(
        matches!(elsewhere, Err(Error::AddressNotHere { .. })),
        "{elsewhere:?}"
    );
}
