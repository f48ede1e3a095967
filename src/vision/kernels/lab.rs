use super::conv::*;
use super::*;
use std::time::Instant;
fn cpu_s() -> f64 {
    let mut r: [i64; 18] = [0; 18];
    unsafe extern "C" {
        fn getrusage(w: i32, r: *mut i64) -> i32;
    }
    unsafe {
        getrusage(0, r.as_mut_ptr());
    }
    r[0] as f64 + r[1] as f64 * 1e-6 + r[2] as f64 + r[3] as f64 * 1e-6
}
pub fn run() {
    let _ = cpu_s();
    for cpu in Cpu::available().into_iter().rev().take(2) {
        let (mut tf, mut tb) = (0.0, 0.0);
        for (ci, co, h, pool) in [
            (3, 32, 35, 1),
            (32, 32, 33, 2),
            (32, 64, 15, 1),
            (64, 64, 13, 2),
        ] {
            let s = ConvShape {
                batch: 64,
                height: h,
                width: h,
                inputs: ci,
                outputs: co,
                kernel: 3,
                stride: 1,
                border: 0,
            };
            let f = Finish { slope: 0.0, pool };
            let x = vec![0.5f32; 64 * s.in_len()];
            let w = vec![0.1f32; s.weights_len()];
            let b = vec![0.1f32; co];
            let n = 64 * s.out_len(f);
            let mut y = vec![0.0f32; n];
            let mut pl = vec![0u8; n];
            let dy = vec![0.1f32; n];
            let mut dx = vec![0.0f32; x.len()];
            let mut dw = vec![0.0f32; w.len()];
            let mut db = vec![0.0f32; co];
            let (mut bf, mut bb) = (f64::MAX, f64::MAX);
            for _ in 0..30 {
                let t = Instant::now();
                forward(cpu, &s, f, &x, &w, Some(&b), &mut y, Some(&mut pl));
                bf = bf.min(t.elapsed().as_secs_f64());
                let t = Instant::now();
                backward(
                    cpu,
                    &s,
                    f,
                    Saved {
                        x: &x,
                        w: &w,
                        y: &y,
                        places: Some(&pl),
                    },
                    &dy,
                    Gradients {
                        dx: if ci > 3 { Some(&mut dx) } else { None },
                        dw: &mut dw,
                        dbias: Some(&mut db),
                    },
                );
                bb = bb.min(t.elapsed().as_secs_f64());
            }
            let fl = (64 * s.map_len() * 9 * ci * 2) as f64;
            let bfl = fl * if ci > 3 { 2.0 } else { 1.0 };
            println!(
                "{cpu:?} {ci}->{co}@{h}: fwd {:.2} ms ({:.0}) bwd {:.2} ms ({:.0})",
                bf * 1e3,
                fl / bf / 1e9,
                bb * 1e3,
                bfl / bb / 1e9
            );
            tf += bf;
            tb += bb;
        }
        println!("{cpu:?} sum fwd {:.2} bwd {:.2}", tf * 1e3, tb * 1e3);
    }
}
