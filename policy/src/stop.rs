//! How a request is stopped: a status, a redirect, a challenge, a lie.

use crate::challenge::{COOKIE, Challenged, Token};
use crate::decide::Run;
use crate::decision::{Action, Cause, Page};
use crate::facts::Facts;
use crate::rule::Effect;
use crate::site::{BlockAnswer, BlockCode};

/// What the request should come to, and why.
pub(crate) struct Stop {
    pub(crate) action: Action,
    pub(crate) page: Option<Page>,
    pub(crate) cause: Cause,
}

impl Action {
    /// What clients over a rate limit get where nothing else is said.
    pub(crate) fn too_many() -> Self {
        Self::status(429)
    }

    fn status(code: i64) -> Self {
        Self::Block { code: BlockCode::try_from(code).unwrap_or_default() }
    }
}

impl<'a> Run<'a> {
    /// How an effect stops the request; none where it does not, because the client has solved its challenge.
    pub(crate) fn effect(
        &mut self,
        facts: &Facts<'_>,
        effect: &'a Effect,
        cause: Cause,
        default: Action,
    ) -> Option<Stop> {
        match effect {
            Effect::Block(own) => {
                let action = own.as_ref().map_or(default, BlockAnswer::action);
                Some(Stop { action, page: None, cause })
            }
            Effect::Deceive => {
                self.add("DECEPTION", "DECEPTION".into());
                let page = Page {
                    content_type: "text/html; charset=utf-8",
                    headers: &[("cache-control", "no-store")],
                    body: WRONG_LOGIN.as_bytes().to_vec(),
                };
                Some(Stop { action: Action::status(401), page: Some(page), cause })
            }
            Effect::Challenge => {
                let challenged = self.challenged(facts);
                match self.token(facts, &challenged) {
                    Token::Valid => None,
                    Token::Missing | Token::Invalid => {
                        self.add("CHALLENGED", "CHALLENGE".into());
                        Some(Stop {
                            action: Action::status(403),
                            page: Some(challenged.page(self.now)),
                            cause,
                        })
                    }
                }
            }
            Effect::VerifyToken => {
                let challenged = self.challenged(facts);
                match self.token(facts, &challenged) {
                    Token::Valid => None,
                    Token::Missing | Token::Invalid => Some(Stop { action: default, page: None, cause }),
                }
            }
            Effect::Allow | Effect::Add(_) | Effect::Log | Effect::Header(_) => None,
        }
    }

    fn challenged<'f>(&self, facts: &Facts<'f>) -> Challenged<'f>
    where
        'a: 'f,
    {
        let client = self.client.map_or([0; 16], crate::state::Client::to_bytes);
        Challenged { key: self.state.challenge_key(), client, user_agent: facts.user_agent() }
    }

    fn token(&mut self, facts: &Facts<'_>, challenged: &Challenged<'_>) -> Token {
        let cookie = facts.cookies().iter().find(|cookie| cookie.name == COOKIE.as_bytes());
        let token = challenged.verify(cookie.map(|cookie| &cookie.value[..]), self.now);
        match token {
            Token::Valid => self.add("CHALLENGE-TOKEN-VALID", "CHALLENGE".into()),
            Token::Invalid => self.add("CHALLENGE-TOKEN-INVALID", "CHALLENGE".into()),
            Token::Missing => {}
        }
        token
    }
}

/// What a failed login looks like, to whoever tries them by the thousand.
const WRONG_LOGIN: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sign in</title></head>\n\
<body><p>The user name or password is incorrect. Please try again.</p></body></html>\n";
