-- What the CRM knows about a customer, one row per customer; sources leave different parts out.
create or replace view profile as
with drawn as (
    select
        *,
        pick(getvariable('places'), rnd(c, 'place')) as place,
        rnd(c, 'sex') as hs,
        rnd(c, 'birth') as hb,
        rnd(c, 'company') as hc,
        rnd(c, 'manager') as hm,
        rnd(c, 'contact') as hk,
        u(rnd(c, 'sex'), 0) < 0.54 as is_female
    from cust
)
select
    *,
    case when is_company then 'company' else 'person' end as customer_type,
    case
        when not is_company then
            case when u(hs, 1) < 0.08 then null when u(hs, 1) < 0.10 then 'other'
                when is_female then 'female' else 'male' end
    end as sex,
    case
        when is_company or u(hb, 0) < 0.10 then null
        when u(hb, 0) < 0.105 then make_date(1960 + 4 * floor(u(hb, 1) * 11)::int, 2, 29)
        else date '1950-01-01' + floor(365.25 * (57 - 48 * abs(u(hb, 1) + u(hb, 2) - 1)) * 0.98)::int
    end as birthday,
    case when getvariable('lang') = 'en' then place.region_en else place.region_zh end as region,
    case when lang = 'en' then place.city_en else place.city_zh end as city,
    case when is_company then pick(getvariable('industries'), hc) end as industry,
    case when is_company and u(hc, 1) > 0.08 then date '1985-01-01' + floor(u(hc, 2) * 12400)::int end as company_founded_on,
    case when is_company then on_day(reg) end as cooperation_start_on,
    is_company and (u(hc, 3) < 0.06 or rate > 0.22) as is_strategic,
    case when is_company then case when u(hm, 0) < 0.55 then 'basic' when u(hm, 0) < 0.88 then 'advanced' else 'custom' end end as service_package,
    case when is_company or rate > 0.15 then staff_no(floor(u(hm, 1) * getvariable('managers'))::int) end as account_manager_id,
    case when is_member then least(reg + floor(u(hm, 2) * 20 * 86400)::int, getvariable('t_end') - 60) end as member_from,
    case when is_member then case
        when rate * order_slots > 900 then 'diamond' when rate * order_slots > 450 then 'platinum'
        when rate * order_slots > 160 then 'gold' else 'standard' end end as member_tier,
    case when getvariable('touched') is not null then 'wecom' when u(hk, 0) < 0.30 then 'wecom' when u(hk, 0) < 0.52 then 'sms' when u(hk, 0) < 0.66 then 'email'
        when u(hk, 0) < 0.78 then 'push' when u(hk, 0) < 0.85 then 'call' end as preferred_channel,
    case when u(hk, 1) < 0.6 then null when u(hk, 1) < 0.75 then '18:00-20:00' when u(hk, 1) < 0.85 then '12:00-13:30'
        when u(hk, 1) < 0.95 then '09:30-11:30' else '20:00-21:30' end as preferred_contact_time,
    case when lang = 'en' then 'en' else 'zh-CN' end as locale,
    case when home = 'store' then 'store' when u(hk, 2) < 0.08 and c > 20 then 'referral'
        when is_company then case when u(hk, 2) < 0.5 then 'sales' else 'exhibition' end
        when u(hk, 2) < 0.34 then 'app' when u(hk, 2) < 0.58 then 'mini_program' when u(hk, 2) < 0.78 then 'web'
        when u(hk, 2) < 0.90 then 'social' else 'ads' end as source_channel,
    nullif(array_to_string(list_distinct([
        pick(getvariable('interests'), rnd(c, 'interest 1')),
        case when u(hk, 3) < 0.6 then pick(getvariable('interests'), rnd(c, 'interest 2')) end,
        case when u(hk, 3) < 0.25 then pick(getvariable('interests'), rnd(c, 'interest 3')) end
    ]).list_filter(lambda x: x is not null and u(hs, 2) < 0.8), ';'), '') as interests,
    case when getvariable('touched') is null then reg + floor(u(hs, 3) * (getvariable('t_end') - reg)) else greatest(getvariable('touched'), reg) end::int as updated
from drawn;

create or replace view person as
select
    *,
    case
        when lang = 'en' then
            case when is_female then pick(getvariable('first_female'), rnd(c, 'given')) else pick(getvariable('first_male'), rnd(c, 'given')) end
            || ' ' || pick(getvariable('last_names'), rnd(c, 'family'))
        else pick(getvariable('surnames'), rnd(c, 'family'))
            || case when is_female then pick(getvariable('given_female'), rnd(c, 'given')) else pick(getvariable('given_male'), rnd(c, 'given')) end
    end as full_name,
    case when is_company then
        case when lang = 'en'
            then pick(getvariable('brands_en'), rnd(c, 'brand')) || ' ' || pick(getvariable('trades_en'), rnd(c, 'trade')) || ' Ltd'
            else replace(city, '市', '') || pick(getvariable('brands_zh'), rnd(c, 'brand')) || pick(getvariable('trades_zh'), rnd(c, 'trade')) || '有限公司'
        end end as company,
    case when is_company then
        case when lang = 'en' then pick(getvariable('positions_en'), rnd(c, 'position'))
            else pick(getvariable('positions_zh'), rnd(c, 'position')) end end as position,
    -- 154 is assigned to no operator and example.* to nobody: a message can never reach a stranger
    case when u(rnd(c, 'phone'), 0) > 0.03 then '154' || lpad(((c * 7654321::bigint + 1234567) % 100000000)::varchar, 8, '0') end as phone,
    case when u(rnd(c, 'phone'), 1) > 0.12 then 'c' || (1000000 + c) || pick(['@example.com', '@example.org', '@mail.example.net', '@例子.example'][1:3], rnd(c, 'mail')) end as email,
    case when u(rnd(c, 'phone'), 2) < 0.6 then 'wm' || hex(rnd(c, 'wecom'))  end as wecom_id,
    case when u(rnd(c, 'phone'), 3) < 0.5 then 'pt-' || lower(hex(rnd(c, 'push'))) end as push_token,
    case
        when u(rnd(c, 'street'), 0) < 0.1 then null
        when lang = 'en' then (1 + rnd(c, 'street') % 998) || ' ' || pick(getvariable('streets_en'), rnd(c, 'street name')) || ', ' || place.city_en || ', ' || place.region_en
        else place.region_zh || place.city_zh || pick(getvariable('streets_zh'), rnd(c, 'street name')) || (1 + rnd(c, 'street') % 998) || '号'
    end as address
from profile;
