//! `POST /explain`: a prediction, and which parts of the picture it depends on, as numbers or as a heat
//! map. `serve::occlusion` finds it out. Imports: http, vision, `serve::*`.

use std::sync::Arc;

use serde_json::json;

use crate::http::header::{CONTENT_TYPE, HeaderValue};
use crate::http::{Response, StatusCode};
use crate::serve::answer::Explained;
use crate::serve::ask::Ask;
use crate::serve::occlusion::{self, WhenFull, Wish};
use crate::serve::picture;
use crate::serve::predict::{aside, note_only};
use crate::serve::refusal::{FieldProblem, Refusal};
use crate::serve::service::{Chosen, Service, json as json_response, stamp};
use crate::vision::explain::heat_map;
use crate::vision::image::Target;

use super::{Protocol, choose, prediction, source};

/// The route, as the log names it.
const ROUTE: &str = "/explain";

/// What an explanation is wanted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Png,
}

/// `POST /explain`
pub(super) async fn explain(service: Arc<Service>, ask: Ask) -> Response {
    let chosen = choose(&service, &ask);
    let response = match &chosen {
        Ok(chosen) => answer(&service, chosen, &ask).await,
        Err(refusal) => Err(refusal.clone()),
    };
    service.finish(Protocol::Native, chosen.ok().as_ref(), response, &ask.id)
}

async fn answer(service: &Service, chosen: &Chosen, ask: &Ask) -> Result<Response, Refusal> {
    ask.require_plain()?;
    let source = source(ask)?;
    let options = ask.options()?;
    let model = &chosen.model;
    let target = model.predictor.model().target;
    let (form, wish) = wishes(&ask.query, &target, &model.predictor.model().classes)?;
    let ends = ask.ends(service.config.timeout)?;
    let (limits, most) = (service.config.limits, service.pictures_max());
    let look = service.look(&ask.id);
    let read = move || picture::read(source, most, limits, &target, None, look);
    let explained = occlusion::explain(service, chosen, &wish, ends, WhenFull::Refuse, read);
    let occlusion::Explained {
        mut predicted,
        values,
        class,
        grid,
    } = explained.await?;
    let mut response = match form {
        Form::Png => {
            let draw = move || Ok(heat_map(&values, target.channels, &grid));
            let (file, _) = aside(service, ends, draw).await?;
            let mut response = Response::new(file.into());
            let kind = HeaderValue::from_static("image/png");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Form::Json => {
            let explained = Explained {
                prediction: prediction(model, &predicted, options, ask.id.as_str()),
                explanation: wish.explanation(model, class, grid),
            };
            json_response(StatusCode::OK, &explained)
        }
    };
    stamp(&mut response, model, predicted.timings());
    note_only(service, chosen, ask, ROUTE, [(0, &mut predicted)]);
    Ok(response)
}

/// Reads what the query asks for; all that is wrong with it is told at once.
fn wishes(query: &str, target: &Target, classes: &[String]) -> Result<(Form, Wish), Refusal> {
    match (Form::read(query), Wish::read(query, target, classes)) {
        (Ok(form), Ok(wish)) => Ok((form, wish)),
        (form, wish) => {
            let mut problems = form.err().unwrap_or_default();
            problems.extend(wish.err().unwrap_or_default());
            Err(Refusal::invalid(problems))
        }
    }
}

impl Form {
    fn read(query: &str) -> Result<Self, Vec<FieldProblem>> {
        let mut form = Self::Json;
        let mut problems = Vec::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("format", "json") => form = Self::Json,
                ("format", "png") => form = Self::Png,
                ("format", _) => {
                    let loc = [json!("query"), json!(key)];
                    let msg = "Input should be 'json' or 'png'";
                    let problem = FieldProblem::new("literal_error", loc, msg, &json!(value));
                    problems.push(problem.ctx(json!({"expected": "'json' or 'png'"})));
                }
                _ => {}
            }
        }
        if problems.is_empty() {
            Ok(form)
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_json_or_png() {
        assert_eq!(Form::read("label=x").ok(), Some(Form::Json));
        assert_eq!(Form::read("format=png&patch=3").ok(), Some(Form::Png));
        assert_eq!(Form::read("format=gif&format=").unwrap_err().len(), 2);
    }
}
