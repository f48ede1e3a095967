//! Networks from elsewhere: an ONNX file, and beside it what the file does not tell.
//!
//! `graph` reads what the file declares, `description` what stands in `NAME.yaml`, `settle` brings both
//! together, `network` computes. What comes of it is asked like a network that was trained here
//! (`vision::predict`). Imports: rten, base, `vision::{artifact`, image, train, error}.

mod description;
mod graph;
mod network;
mod settle;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::Error;
use super::artifact::{Described, description_of};
use super::train::{Normalisation, Normaliser, Sample};

use description::Description;
use graph::Graph;
pub(in crate::vision) use network::OnnxNetwork;

/// A network from elsewhere, read, checked and planned.
pub struct OnnxModel {
    graph: Graph,
    description: Description,
    engine: rten::Model,
}

/// A network that is ready to be asked, and what there is to know of it.
pub(in crate::vision) struct Made {
    pub(in crate::vision) network: OnnxNetwork,
    pub(in crate::vision) normalisation: Normalisation,
    pub(in crate::vision) described: Described,
}

impl OnnxModel {
    /// Reads the ONNX file at `path` and its description beside it.
    ///
    /// # Errors
    /// It is no ONNX file, or not that of a classifier of pictures; weights that it names are missing;
    /// it has an operator that the engine lacks; the description breaks its rules.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut graph = Graph::read(path)?;
        let description = Description::read(&description_of(path))?;
        let engine = network::plan(&mut graph)?;
        Ok(Self {
            graph,
            description,
            engine,
        })
    }

    /// Makes the network ready, and asks it about a blank picture: only its answer tells for sure how
    /// many classes there are.
    ///
    /// # Errors
    /// Description and network contradict each other, or leave something open; the engine fails.
    pub(in crate::vision) fn network(self) -> Result<Made, Error> {
        let (graph, description) = (&self.graph, &self.description);
        let input = settle::input(graph, description)?;
        let normalisation = settle::normalisation(description, &input);
        let network = OnnxNetwork::new(self.engine, graph, input);
        let target = input.target(description);
        let blank = vec![0; target.image_len()];
        let blank = Normaliser::new(&normalisation).samples(&[Sample::Bytes(&blank)], blank.len());
        let answer = network.raw(&blank)?;
        let (classes, output) = settle::classes(graph, description, &answer)?;
        Ok(Made {
            network: network.with_output(output),
            normalisation,
            described: Described {
                classes,
                target,
                parameters: graph.parameters,
                weights_hash: graph.hash,
            },
        })
    }
}
