-- What every order of a single article has to do, and nothing else.
update stock set reserved = reserved + 1 where sku = '10000001';
