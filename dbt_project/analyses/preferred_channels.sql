-- Which channels do the customers of each segment respond on most?
select
    customers.segment,
    channels.channel,
    count(*) as customers,
    sum(channels.responses) as responses,
    round(avg(channels.share), 2) as average_share
from fct_customer_channels as channels
inner join dim_customers as customers on channels.customer_id = customers.customer_id
where channels.channel_rank = 1
group by customers.segment, channels.channel
order by customers.segment asc, customers desc, channels.channel asc;
