"""The pages behind an unsubscribe link, in Chinese and English, without scripts or pictures."""

from html import escape

_PAGE = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ font: 18px/1.6 system-ui, sans-serif; max-width: 32rem; margin: 12vh auto;
  padding: 0 1rem; color: #222; background: #fff }}
button {{ font: inherit; padding: .7rem 1.4rem; border: 0; border-radius: .4rem;
  background: #1a5fb4; color: #fff; cursor: pointer }}
p[lang=en] {{ color: #555 }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def _page(title: str, chinese: str, english: str, form: str = "") -> str:
    body = f'<p>{escape(chinese)}</p>\n<p lang="en">{escape(english)}</p>\n{form}'
    return _PAGE.format(title=escape(title), body=body)


def ask() -> str:
    """Whether to unsubscribe; only the button does it, since mail scanners follow links."""
    return _page(
        "退订 · Unsubscribe",
        "您将不再收到此类消息。请点击按钮确认退订。",
        "Press the button and you will get no more messages of this kind.",
        '<form method="post"><button type="submit">确认退订 · Unsubscribe</button></form>',
    )


def done() -> str:
    """It has been done."""
    return _page(
        "已退订 · Unsubscribed",
        "退订成功，您将不再收到此类消息。",
        "Done. You will get no more messages of this kind.",
    )


def unknown() -> str:
    """The link is none of ours."""
    return _page(
        "链接无效 · Link not valid",
        "此链接无效或不完整，请使用消息中的原始链接。",
        "This link is not valid or not complete. Please use the one in the message.",
    )


def busy() -> str:
    """It can't be done now."""
    return _page(
        "请稍后再试 · Try again later",
        "暂时无法处理，请稍后再试。",
        "This can't be done just now. Please try again in a few minutes.",
    )
