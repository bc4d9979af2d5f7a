"""What customers and employees read: templates of a pack, checked, rendered, previewed."""

from careloop.messages.batch import Renderer, RenderProblem, render_batch
from careloop.messages.checks import Problem, check, check_all
from careloop.messages.links import sign, unsubscribe_url, verify
from careloop.messages.rendering import render
from careloop.messages.variables import VARIABLES

__all__ = [
    "VARIABLES",
    "Problem",
    "RenderProblem",
    "Renderer",
    "check",
    "check_all",
    "render",
    "render_batch",
    "sign",
    "unsubscribe_url",
    "verify",
]
