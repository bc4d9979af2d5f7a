"""Products bought together, recommendations and favourites, against a plain Python reference."""

import datetime as dt
import itertools
import json
import random
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from careloop.program.products import NextProduct
from careloop.settings import PROJECT_ROOT, Settings
from test_models import DAY, Company, Rows, failures, local_day, utc

MODELS = ("+fct_customer_next_products", "+fct_replacements_due")
RATES = {"CNY": 1.0, "USD": 7.25}
RULES: dict[str, Any] = {
    "basket": "order",
    "window_days": 300,
    "max_baskets": 1_000_000,
    "largest_basket": 5,
    "min_together": 3,
    "min_confidence": 0.1,
    "min_lift": 0.8,
    "rules_per_product": 3,
    "per_customer": 2,
    "because_of_days": 60,
    "exclude_bought_days": 120,
}


def random_lines(seed: int = 5, orders: int = 400) -> Rows:
    """Orders of 40 customers with up to eight lines of 12 products, with every kind of gap."""
    rng = random.Random(seed)
    names = [f"c{i:02}" for i in range(40)]
    as_of = utc(dt.datetime.combine(DAY, dt.time()))
    rows: Rows = {
        "customers": [{"customer_id": name} for name in names],
        "orders": [],
        "order_lines": [],
        # p10 and p11 are sold without being listed.
        "products": [
            {
                "product_id": f"p{i:02}",
                "name": f"Product {i}" if i % 3 else None,
                "category": rng.choice((" ", None, "tea", "tea", "cups")),
                "replacement_days": rng.choice((None, 0, 30, 90, 10**9)),
            }
            for i in range(10)
        ],
    }
    for i in range(orders):
        at = as_of - dt.timedelta(days=rng.uniform(-10, 420)).__abs__() * rng.choice((1, 1, 1, 0.2))
        at = as_of + dt.timedelta(days=3) if rng.random() < 0.02 else at
        rows["orders"].append(
            {
                "order_id": f"o{i:04}",
                "customer_id": rng.choice(names[:35]),
                "ordered_at": at.replace(microsecond=0),
                "status": rng.choice(("paid", "completed", "completed", "cancelled", None)),
                "amount": Decimal(10),
                "currency": rng.choice((None, "CNY", "USD")),
            }
        )
        for line in range(rng.choice((0, 1, 2, 3, 4, 8))):
            product = rng.choice((None, *(f"p{int(12 * rng.random() ** 1.7):02}",) * 9))
            rows["order_lines"].append(
                {
                    "order_id": f"o{i:04}",
                    "line_no": line,
                    "product_id": product,
                    "quantity": 2.0,
                    "unit_price": Decimal("1.25"),
                    "amount": rng.choice((None, Decimal("2.5"), Decimal("7.1"))),
                }
            )
    return rows


def purchases(rows: Rows) -> list[tuple[str, str, str, dt.date, Decimal]]:
    """Order, customer, product, day and amount of every line that counts."""
    as_of = utc(dt.datetime.combine(DAY, dt.time()))
    counted = {
        o["order_id"]: o
        for o in rows["orders"]
        if o["ordered_at"] <= as_of and o["status"] != "cancelled"
    }
    found = []
    for line in rows["order_lines"]:
        order = counted.get(line["order_id"])
        if order is None or line["product_id"] is None:
            continue
        rate = Decimal(str(RATES[order["currency"] or "CNY"]))
        amount = (line["amount"] if line["amount"] is not None else Decimal("2.5")) * rate
        day = local_day(order["ordered_at"])
        found.append((order["order_id"], order["customer_id"], line["product_id"], day, amount))
    return found


def associations(rows: Rows, rules: dict[str, Any]) -> dict[tuple[str, str], tuple]:
    """(rank, baskets, together, support, confidence, lift) by pair of products."""
    by = 0 if rules["basket"] == "order" else 1
    baskets = defaultdict(set)
    for bought in purchases(rows):
        if (DAY - bought[3]).days <= rules["window_days"]:
            baskets[bought[by]].add(bought[2])
    kept = [b for b in baskets.values() if len(b) <= rules["largest_basket"]]
    single = Counter(p for b in kept for p in b)
    pairs = Counter(pair for b in kept for pair in itertools.permutations(sorted(b), 2))
    ranked = defaultdict(list)
    for (one, other), together in pairs.items():
        confidence = together / single[one]
        lift = together * len(kept) / (single[one] * single[other])
        if (
            together >= rules["min_together"]
            and confidence >= rules["min_confidence"]
            and lift >= rules["min_lift"]
        ):
            support = together / len(kept)
            ranked[one].append((-confidence, -lift, other, together, support))
    return {
        (one, other): (rank, single[one], together, support, -confidence, -lift)
        for one, found in ranked.items()
        for rank, (confidence, lift, other, together, support) in enumerate(sorted(found), 1)
        if rank <= rules["rules_per_product"]
    }


def recommended(rows: Rows, rules: dict[str, Any]) -> dict[tuple[str, int], tuple[str, str]]:
    """(product, because of) by customer and rank."""
    pairs = associations(rows, rules)
    mine = defaultdict(list)
    for _, customer, product, day, _ in purchases(rows):
        mine[customer].append((product, (DAY - day).days))
    exclude = rules["exclude_bought_days"]
    result = {}
    for customer, bought in mine.items():
        has = {p for p, days in bought if exclude is None or days <= exclude}
        seeds = {p for p, days in bought if days <= rules["because_of_days"]}
        best: dict[str, tuple] = {}
        for (one, other), measures in pairs.items():
            if one in seeds and other not in has:
                key = (-measures[4], -measures[5], one, other)
                best[other] = min(best.get(other, key), key)
        for rank, key in enumerate(sorted(best.values())[: rules["per_customer"]], 1):
            result[customer, rank] = (key[3], key[2])
    return result


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Company:
    home = tmp_path_factory.mktemp("shop")
    return Company(Settings(home=home, threads=2, memory_limit="1GB")).prepare(random_lines())


def build(shop: Company, rules: dict[str, Any]) -> None:
    """The product models with other rules; None leaves a rule out, and no rules are none at all."""
    shop.execute("delete from program.settings where key like 'next_product.%'")
    for key, value in rules.items():
        if value is not None:
            shop.execute(f"insert into program.settings values ('next_product.{key}', '{value}')")
    result = shop.dbt(
        "build", "--exclude", "assert_orders_match_staging", "--exclude-resource-type",
        "unit_test", "--select", *MODELS,
    )  # fmt: skip
    assert result.success, failures(result)


@pytest.mark.parametrize(
    "changed",
    [{}, {"basket": "customer", "largest_basket": 9, "min_together": 8,
          "exclude_bought_days": None}],
    ids=["orders", "customers"],
)  # fmt: skip
def test_associations_and_recommendations_are_the_references(shop: Company, changed: dict) -> None:
    rules, rows = {**RULES, **changed}, random_lines()
    build(shop, rules)
    pairs = {
        (r["product_id"], r["associated_product_id"]): (
            r["rank"], r["baskets"], r["together"], r["support"], r["confidence"], r["lift"]
        )
        for r in shop.query("from marts.fct_product_associations")
    }  # fmt: skip
    expected = associations(rows, rules)
    assert len(expected) > 10
    assert pairs == {key: pytest.approx(value) for key, value in expected.items()}
    found = {
        (r["customer_id"], r["rank"]): (r["product_id"], r["because_of_product_id"])
        for r in shop.query("from marts.fct_customer_next_products")
    }
    assert len(found) > 5
    assert found == recommended(rows, rules)


def test_a_program_without_the_section_recommends_nothing(shop: Company) -> None:
    build(shop, {})
    for table in ("product_associations", "customer_next_products", "replacements_due"):
        assert shop.query(f"from marts.fct_{table}") == []


def test_a_sample_of_baskets_is_about_as_large_as_asked(shop: Company) -> None:
    compiled = shop.dbt("compile", "--inline", "{{ share_by_hash('i') }}")
    share = compiled.result.results[0].node.compiled_code
    drawn = shop.query(
        f"select count(*) filter (where {share} < 0.1) as n, min({share}) as low, "
        f"max({share}) as high from (select 'C' || range as i from range(100000))"
    )[0]
    assert 9_500 < drawn["n"] < 10_500
    assert 0 <= drawn["low"] < drawn["high"] < 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"min_lift": -1.0}, "min_lift"),
        ({"basket": "week"}, "basket"),
        ({"replacement": {"show_days_before": 7, "remind_days_before": 14,
                          "forget_days_after": 1}}, "replacement.remind_days_before"),
    ],
)  # fmt: skip
def test_wrong_rules_are_refused_at_their_path(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NextProduct(**{**RULES, **change})
    assert where in {".".join(map(str, e["loc"])) for e in caught.value.errors()}


def test_every_pack_recommends() -> None:
    for file in sorted(Path(PROJECT_ROOT / "programs").glob("*/program.yml")):
        section = yaml.safe_load(file.read_text("utf-8"))["next_product"]
        assert NextProduct(**json.loads(json.dumps(section))).replacement, file
