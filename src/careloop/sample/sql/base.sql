-- Randomness that depends on (seed, row number, tag) only: same rows whatever the thread order.
create or replace macro rnd(n, tag) as
    hash(n::bigint + (hash(tag, getvariable('seed')) >> 2)::bigint);

-- The j-th (0..3) 16-bit piece of a hash as a number in (0, 1); `wide` takes 32 bits (j 0..1).
create or replace macro u(h, j) as (((h >> (16 * j)) & 65535)::double + 0.5) / 65536;
create or replace macro wide(h, j) as (((h >> (32 * j)) & 4294967295)::double + 0.5) / 4294967296;
create or replace macro pick(items, h) as items[(1 + h % len(items)::ubigint)::bigint];
create or replace macro normal(h) as sqrt(-2 * ln(wide(h, 0))) * cos(6.283185307179586 * wide(h, 1));

-- Times are whole seconds since the start of the first day, on the company's wall clock.
create or replace macro wall(s) as
    make_timestamp(getvariable('start_us') + s::bigint * 1000000);
create or replace macro utc(s) as
    make_timestamp(getvariable('start_us') - 28800000000 + s::bigint * 1000000);
create or replace macro on_day(s) as wall(s)::date;
create or replace macro seen(s) as case when s < getvariable('t_end') then s end;

-- Second of a day for h: people buy at noon and in the evening, hardly at night.
create or replace macro clock(h) as (
    pick(getvariable('hours'), h & 255) * 3600 + (((h >> 8) & 65535) * 3599 // 65535)::int
);

create or replace macro row_no(c, k) as c * 10000::bigint + k;
-- Ids are one letter and eleven digits: twelve characters are the longest DuckDB keeps inline.
create or replace macro row_id(letter, c, k) as letter || ((1000000 + c) * 10000::bigint + k);
create or replace macro customer_no(c) as 'C' || (1000000 + c);
create or replace macro staff_no(i) as 'S' || (1001 + i);
create or replace macro product_no(p) as 'P' || (1001 + p);

create or replace macro popular(h, j) as
    floor(getvariable('products') * pow(u(h, j), 1.6))::int;
-- A product of the kind that goes with p's; never p itself, because it is of another round.
create or replace macro companion(p, second) as (
    (p // getvariable('goods') + 1 + (
        rnd(p * 2 + second, 'companion')
        % (getvariable('products') // getvariable('goods') - 1)::ubigint
    )::int) % (getvariable('products') // getvariable('goods')) * getvariable('goods')
    + getvariable('goes_with')[1 + p % getvariable('goods') * 2 + second]
)::int;
-- Line j of an order. Half of the further lines go with the first: three of four of those are its
-- one companion, the others its second. The lowest bits decide; they hardly move `popular`.
create or replace macro product_at(h, j) as
    case when j > 0 and ((h >> (16 * j)) & 1) = 0
        then companion(popular(h, 0), (((h >> (16 * j + 1)) & 3) = 0)::int)
        else popular(h, j) end;
create or replace macro price_cents(p) as
    (round(pow(10, 1.1 + 1.9 * ((p * 0.6180339887) % 1))) * 100 - 10)::bigint;
create or replace macro quantity_at(h, j, is_company) as
    1 + (((h >> (16 * j)) & 7) = 0)::int
    + case when is_company then (((h >> (16 * j + 3)) & 7))::int else 0 end;
