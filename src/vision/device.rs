//! Where tensors live and who computes: the only file that knows back ends.
//! Imports: burn, `base::doc`, `vision::error`.

use burn::tensor::Device as BurnDevice;

use crate::base::doc::Fields;

use super::Error;
use super::kernels::Cpu;

/// What `train.device` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if this program was built for one and finds one, else the CPU.
    Auto,
    /// The CPU, always there.
    Cpu,
    /// An NVIDIA GPU; needs the cargo feature `cuda`.
    Cuda,
    /// A GPU through Vulkan, Metal or DirectX; needs the cargo feature `wgpu`.
    Wgpu,
}

/// Makes computations on the CPU use the instructions of this name; see `kernels::Cpu`.
///
/// # Errors
/// This machine has none of this name; the error lists those it has.
pub fn choose_cpu(name: &str) -> Result<(), Vec<&'static str>> {
    Cpu::choose(name).map_err(|known| known.into_iter().map(Cpu::name).collect())
}

/// Returns which instructions computations on the CPU use: `scalar`, `avx2`, `avx512` or `neon`.
#[must_use]
pub fn cpu_form() -> &'static str {
    Cpu::current().name()
}

const CPU: &str = "cpu";

/// A place to compute.
#[derive(Clone, Debug)]
pub struct Device {
    burn: BurnDevice,
    name: &'static str,
}

impl DeviceChoice {
    /// Reads `device` of a section.
    #[must_use]
    pub fn read(fields: &Fields<'_, '_>) -> Self {
        let names = [
            ("auto", Self::Auto),
            ("cpu", Self::Cpu),
            ("cuda", Self::Cuda),
            ("wgpu", Self::Wgpu),
        ];
        fields.choice("device", Self::Auto, &names)
    }
}

impl Device {
    /// Returns the device that `choice` names.
    ///
    /// # Errors
    /// `NoBackEnd` when the program was built without it, `NoDevice` when the machine lacks it.
    pub fn pick(choice: DeviceChoice) -> Result<Self, Error> {
        match choice {
            DeviceChoice::Auto => Ok(cuda().or_else(|_| wgpu()).unwrap_or_else(|_| Self::cpu())),
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Cuda => cuda(),
            DeviceChoice::Wgpu => wgpu(),
        }
    }

    /// Returns the CPU.
    #[must_use]
    pub fn cpu() -> Self {
        Self {
            burn: BurnDevice::flex(),
            name: CPU,
        }
    }

    /// `cpu`, `cuda` or `wgpu`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Is it the CPU?
    pub(super) fn is_cpu(&self) -> bool {
        self.name == CPU
    }

    /// Returns the handle for tensors that are only computed forward.
    pub(super) fn inference(&self) -> BurnDevice {
        self.burn.clone()
    }

    /// Returns the handle for tensors of which gradients are wanted.
    pub(super) fn training(&self) -> BurnDevice {
        self.burn.clone().autodiff()
    }
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, Error> {
    first(burn::tensor::DeviceType::Cuda, "cuda")
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, Error> {
    Err(Error::NoBackEnd { device: "cuda" })
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, Error> {
    first(burn::tensor::DeviceType::Wgpu, "wgpu")
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, Error> {
    Err(Error::NoBackEnd { device: "wgpu" })
}

/// Returns the first device of a back end. Looking for one loads the vendor's library, which panics
/// where it is missing; that is an answer here, not a bug.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn first(kind: burn::tensor::DeviceType, name: &'static str) -> Result<Device, Error> {
    let found = std::panic::catch_unwind(|| BurnDevice::enumerate(kind).into_iter().next());
    match found {
        Ok(Some(burn)) => Ok(Device { burn, name }),
        Ok(None) | Err(_) => Err(Error::NoDevice { device: name }),
    }
}

#[cfg(all(test, not(feature = "cuda"), not(feature = "wgpu")))]
mod tests {
    use super::*;
    use crate::base::ToDiagnostics;

    #[test]
    fn a_missing_back_end_is_named_with_its_feature() {
        assert_eq!(Device::pick(DeviceChoice::Auto).unwrap().name(), "cpu");
        let error = Device::pick(DeviceChoice::Cuda).unwrap_err();
        let help = error.to_diagnostics()[0].help.clone().unwrap();
        assert!(help.contains("--features cuda"), "{help}");
    }
}
