"""For each function with a rule, a strategy of calls: (positional, keyword) arguments."""

from support.function_calls import as_modules, elementwise, movement, products, reductions

CALLS = {
    **as_modules.CALLS,
    **elementwise.CALLS,
    **movement.CALLS,
    **products.CALLS,
    **reductions.CALLS,
}
