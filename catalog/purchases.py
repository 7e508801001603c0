"""The purchases, declared once: an entry here is all that a column or a dimension needs."""

from catalog.attributes import Banded, Bands, Enumerated, Home, Referred
from catalog.columns import Clock, Key, Money
from catalog.dataset import Dataset
from catalog.dimensions import UNKNOWN, Day, Hour

MAX_AMOUNT_CENTS = 10**11
"""A purchase above a billion dollars is a typing error; the cap also keeps every sum exact."""

STATES = tuple(
    """Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|
Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|
Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|
Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|
Wisconsin|Wyoming""".replace("\n", "").split("|")
)

GENDER = Enumerated(
    name="gender", label="Gender", column="Gender", home=Home.PROFILE,
    members=(UNKNOWN, "Female", "Male"), shares={"Female": 0.5398, "Male": 0.4491}, missing=0.0111,
)  # fmt: skip
AGE_GROUP = Bands(
    name="age_group", label="Age group",
    members=(UNKNOWN, "Under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"), bounds=(18, 25, 35, 45, 55, 65),
)  # fmt: skip
AGE = Banded(
    name="age", label="Age", column="Age", home=Home.PROFILE,
    most=120, bands=AGE_GROUP, sample=range(15, 79), missing=0.0167,
)  # fmt: skip
MARITAL_STATUS = Enumerated(
    name="marital_status", label="Marital status", column="Marital_status", home=Home.PROFILE,
    members=(UNKNOWN, "Married", "Single"), shares={"Married": 0.5864, "Single": 0.4136},
)  # fmt: skip
STATE = Referred(
    name="state", label="State", column="State_names", home=Home.CUSTOMER, collection="states",
    members=(UNKNOWN, *STATES),
)  # fmt: skip
SEGMENT = Referred(
    name="segment", label="Customer segment", column="Segment", home=Home.CUSTOMER, collection="segments",
    members=(UNKNOWN, "Basic", "Gold", "Missing", "Platinum", "Silver"),
    shares={"Basic": 0.4522, "Silver": 0.1951, "Platinum": 0.1764, "Gold": 0.0983, "Missing": 0.078},
)  # fmt: skip
EMPLOYMENT_STATUS = Referred(
    name="employment_status", label="Employment status", column="Employees_status", home=Home.CUSTOMER,
    collection="employment_status", members=(UNKNOWN, "Employees", "Self-Employed", "Unemployment", "Workers"),
    shares={"Employees": 0.3766, "workers": 0.3177, "self-employed": 0.1939, "Unemployment": 0.1015}, missing=0.0103,
)  # fmt: skip
PAYMENT_METHOD = Referred(
    name="payment_method", label="Payment method", column="Payment_method", home=Home.TRANSACTION,
    collection="payment_methods", members=(UNKNOWN, "Card", "Other", "PayPal"),
    shares={"PayPal": 0.465, "Card": 0.2982, "Other": 0.2368},
)  # fmt: skip
REFERRAL = Enumerated(
    name="referral", label="Referral", column="Referral", spellings=("Referal",), home=Home.CUSTOMER,
    members=(UNKNOWN, "Non-referral", "Referral"),
    written={"Non-referral": ("0", "0.0"), "Referral": ("1", "1.0")},
    shares={"1": 0.6119, "0": 0.3264}, missing=0.0617,
)  # fmt: skip
HOUR = Hour(name="hour", label="Hour of day", members=tuple(str(hour) for hour in range(24)))
DATE = Day(name="date", label="Date")

PURCHASES = Dataset(
    key=Key(name="transaction_id", label="Transaction id", column="Transaction_ID"),
    clock=Clock(
        name="timestamp_ms", label="Transaction date", column="Transaction_date", stored_in="transaction_date",
        date=DATE, hour=HOUR,
    ),
    attributes=(GENDER, AGE, MARITAL_STATUS, STATE, SEGMENT, EMPLOYMENT_STATUS, PAYMENT_METHOD, REFERRAL),
    amount=Money(
        name="amount_cents", label="Amount", column="Amount_spent",
        most=MAX_AMOUNT_CENTS, sample=range(200, 300_000), missing=0.0963,
    ),
)  # fmt: skip
