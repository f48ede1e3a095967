//! All values of a network by name, and their one file form: safetensors with sorted names and
//! little-endian f32, so equal weights are equal bytes. Imports: `model::plan`.

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::plan::Plan;

/// One tensor outside any back end.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, last dimension fastest.
    pub values: Vec<f32>,
}

/// The values of a network, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);

/// Why bytes are not the weights of a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsProblem {
    /// Not a safetensors file.
    #[error("it is not a safetensors file: {0}")]
    NotSafetensors(String),
    /// A tensor of the network is not there.
    #[error("the tensor `{0}` is missing")]
    Missing(String),
    /// A tensor that the network does not have.
    #[error("the tensor `{0}` belongs to no layer")]
    Unexpected(String),
    /// Another shape than the network's.
    #[error("the tensor `{name}` has shape {found:?}, the network needs {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape of the network.
        expected: Vec<usize>,
    },
    /// Not f32.
    #[error("the tensor `{name}` holds {found}, not F32")]
    Type {
        /// The tensor.
        name: String,
        /// The type found.
        found: String,
    },
}

impl Weights {
    /// Returns the safetensors file of these weights.
    ///
    /// # Panics
    /// Never: lengths and shapes agree by construction.
    #[must_use]
    pub fn to_safetensors(&self) -> Vec<u8> {
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, t)| (name.as_str(), t.shape.as_slice(), f32_bytes(&t.values)))
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            (
                *name,
                view.expect("a tensor has as many values as its shape says"),
            )
        });
        safetensors::serialize(views, None).expect("names and shapes always fit into the header")
    }

    /// Reads a safetensors file and checks that it holds exactly the tensors of `plan`.
    ///
    /// # Errors
    /// The first tensor (by name) that is missing, unexpected or of another shape or type.
    pub fn from_safetensors(bytes: &[u8], plan: &Plan) -> Result<Self, WeightsProblem> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| WeightsProblem::NotSafetensors(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(WeightsProblem::Type {
                    name: name.to_owned(),
                    found: format!("{:?}", view.dtype()),
                });
            }
            let tensor = Tensor {
                shape: view.shape().to_vec(),
                values: f32_values(view.data()),
            };
            tensors.insert(name.to_owned(), tensor);
        }
        let weights = Self(tensors);
        weights.check(plan)?;
        Ok(weights)
    }

    /// Checks names and shapes against `plan`.
    ///
    /// # Errors
    /// The first tensor that is missing, unexpected or of another shape.
    pub fn check(&self, plan: &Plan) -> Result<(), WeightsProblem> {
        let expected: BTreeMap<&str, &[usize]> = plan
            .tensors()
            .map(|t| (t.name.as_str(), t.shape.as_slice()))
            .collect();
        for (name, shape) in &expected {
            let tensor = self
                .0
                .get(*name)
                .ok_or_else(|| WeightsProblem::Missing((*name).to_owned()))?;
            if tensor.shape != *shape {
                return Err(WeightsProblem::Shape {
                    name: (*name).to_owned(),
                    found: tensor.shape.clone(),
                    expected: shape.to_vec(),
                });
            }
        }
        match self
            .0
            .keys()
            .find(|name| !expected.contains_key(name.as_str()))
        {
            Some(name) => Err(WeightsProblem::Unexpected(name.clone())),
            None => Ok(()),
        }
    }
}

/// Returns `values` as little-endian bytes.
pub(in crate::vision) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Returns little-endian bytes as numbers; a torn last number is left out.
pub(in crate::vision) fn f32_values(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::model::{Input, Preset, initial_weights};

    fn plan() -> Plan {
        let input = Input {
            height: 14,
            width: 14,
            channels: 1,
        };
        Plan::new(&Preset::Lenet.spec(), input, 3).unwrap()
    }

    #[test]
    fn weights_survive_their_file() {
        let plan = plan();
        let weights = initial_weights(&plan, 7);
        let bytes = weights.to_safetensors();
        assert_eq!(
            Weights::from_safetensors(&bytes, &plan),
            Ok(weights.clone())
        );
        assert_eq!(bytes, weights.to_safetensors());
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let plan = plan();
        #[track_caller]
        fn check(plan: &Plan, change: impl FnOnce(&mut Weights), expected: &str) {
            let mut weights = initial_weights(plan, 7);
            change(&mut weights);
            let problem = Weights::from_safetensors(&weights.to_safetensors(), plan).unwrap_err();
            assert_eq!(problem.to_string(), expected);
        }
        check(
            &plan,
            |w| drop(w.0.remove("output.bias")),
            "the tensor `output.bias` is missing",
        );
        check(
            &plan,
            |w| {
                let tensor = w.0["output.bias"].clone();
                w.0.insert("other".to_owned(), tensor);
            },
            "the tensor `other` belongs to no layer",
        );
        check(
            &plan,
            |w| {
                let shape = vec![1, 3];
                w.0.get_mut("output.bias").unwrap().shape = shape;
            },
            "the tensor `output.bias` has shape [1, 3], the network needs [3]",
        );
        let torn = initial_weights(&plan, 7).to_safetensors();
        let problem = Weights::from_safetensors(&torn[..torn.len() - 1], &plan).unwrap_err();
        assert!(matches!(problem, WeightsProblem::NotSafetensors(_)));
    }
}
