//! Pipelines of DVC repositories, by DVC and by cvops in turn: neither finds anything to do after the
//! other, and both write the same bytes.

use crate::support::dvc::{program, repository};
use crate::support::dvc_world::World;

#[test]
fn a_world_stands_still_under_dvc_alone() {
    if program("DVC twice over one project").is_none() {
        return;
    }
    let p = repository();
    let world = World::new(1);
    world.lay_out(&p);
    p.dvc_ok(&format!("add {}", world.tracked.join(" ")));
    p.dvc_ok("repro");
    assert!(p.ran().contains("grid-1-m1"));
    let before = p.picture();
    p.dvc_ok("repro");
    assert_eq!(p.ran(), "");
    before.assert_same(&p.picture(), "a second repro");
}
