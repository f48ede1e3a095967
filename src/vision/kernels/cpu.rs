//! Which instructions the kernels use, found at run time.

use std::fmt;
use std::sync::OnceLock;

use pulp::{Scalar, WithSimd};

use super::simd::LANES_MAX;

/// The form that was asked for, instead of the fastest.
static CHOSEN: OnceLock<Cpu> = OnceLock::new();

/// A set of vector instructions that this machine has.
#[derive(Clone, Copy)]
pub struct Cpu(Form);

#[derive(Clone, Copy)]
enum Form {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

impl Cpu {
    /// Returns every form that this machine can run, slowest first; never empty.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut forms = vec![Self(Form::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            forms.extend(pulp::x86::V3::try_new().map(|v3| Self(Form::Avx2(v3))));
            forms.extend(pulp::x86::V4::try_new().map(|v4| Self(Form::Avx512(v4))));
        }
        #[cfg(target_arch = "aarch64")]
        forms.extend(pulp::aarch64::Neon::try_new().map(|neon| Self(Form::Neon(neon))));
        forms
    }

    /// Returns the fastest form of this machine.
    #[must_use]
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self(Form::Scalar))
    }

    /// Returns the form that this process computes in: the chosen one, or the fastest.
    #[must_use]
    pub fn current() -> Self {
        *CHOSEN.get_or_init(Self::best)
    }

    /// Makes `name` the form of this process. Comes before the first computation; afterwards it
    /// changes nothing.
    ///
    /// # Errors
    /// This machine has no such form; the error lists those it has.
    pub fn choose(name: &str) -> Result<(), Vec<Self>> {
        let forms = Self::available();
        let Some(&cpu) = forms.iter().find(|cpu| cpu.name() == name) else {
            return Err(forms);
        };
        CHOSEN.get_or_init(|| cpu);
        Ok(())
    }

    /// `scalar`, `avx2`, `avx512` or `neon`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Form::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Form::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Form::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Form::Neon(_) => "neon",
        }
    }

    /// Values of a vector.
    pub(super) fn lanes(self) -> usize {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;

            fn with_simd<S: pulp::Simd>(self, _simd: S) -> usize {
                // Copies of vectors on the stack have room for this many.
                const { assert!(S::F32_LANES <= LANES_MAX) }
                S::F32_LANES
            }
        }
        self.run(Lanes)
    }

    /// Runs `op` compiled for these instructions.
    #[inline]
    pub(super) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        use pulp::Simd;
        match self.0 {
            Form::Scalar => Scalar.vectorize(op),
            #[cfg(target_arch = "x86_64")]
            Form::Avx2(v3) => Simd::vectorize(v3, op),
            #[cfg(target_arch = "x86_64")]
            Form::Avx512(v4) => Simd::vectorize(v4, op),
            #[cfg(target_arch = "aarch64")]
            Form::Neon(neon) => Simd::vectorize(neon, op),
        }
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Cpu {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Cpu {}
