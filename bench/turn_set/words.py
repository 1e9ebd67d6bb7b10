"""What is said in the set. ``|`` marks the pause that is made longer."""

from typing import Final

__all__ = ["ANSWER", "BACKCHANNELS", "FILLERS", "INTERRUPTIONS", "PAUSES", "QUESTIONS"]

QUESTIONS: Final = (
    "What is the capital of Australia?",
    "How many minutes are there in a day?",
    "Who wrote the book Pride and Prejudice?",
    "Can you tell me a good recipe for pancakes?",
    "What will the weather be like in Berlin tomorrow?",
    "Why is the sky blue?",
    "Set a timer for ten minutes, please.",
    "How far is it from London to Paris?",
    "What is the boiling point of water?",
    "Turn on the light in the kitchen.",
    "Which planet is the largest one?",
    "Do I need an umbrella this afternoon?",
    "Please explain how a bicycle stays upright.",
    "What time does the museum open on Sundays?",
    "I would like to book a table for four people.",
    "How do I get to the train station from here?",
    "Is a tomato a fruit or a vegetable?",
    "Tell me something interesting about whales.",
    "What did people eat in the Middle Ages?",
    "My name is Alex, and I live in Hamburg.",
)

PAUSES: Final = (
    "When I was in Paris last summer,| I saw a very old bridge.",
    "I need eggs, flour,| and two bottles of milk.",
    "If it rains tomorrow,| we could go to the museum.",
    "Can you book a flight to Rome,| the one in the morning, please?",
    "The number is five five two,| three seven one nine.",
    "I have been thinking about this,| and I would like to cancel my order.",
    "Before you answer,| please look at the second page.",
    "My sister, who lives in Leeds,| wants to know what it costs.",
    "Remind me on Friday,| or maybe on Saturday, to call the dentist.",
    "There are two problems,| the screen is dark and the fan is loud.",
    "Could you compare the small car,| the one we saw yesterday, with the large one?",
    "Although it was late,| nobody wanted to go home.",
    "On the one hand it is cheap,| on the other hand it breaks.",
    "Please send it to Mary Jones,| at fourteen Park Road, in Bristol.",
)

FILLERS: Final = (
    "Can you tell me, um,| what time it is in Tokyo?",
    "I would like to, uh,| order a large pizza.",
    "What was the name of, um,| the actor in that film?",
    "So,| how do I change my password?",
    "I was wondering, um,| if you could help me with my homework.",
    "We should meet on, er,| Wednesday at noon.",
    "It costs about, hmm,| thirty dollars I think.",
    "Well, you know,| it depends on the weather.",
    "Play some music by, uh,| Johann Sebastian Bach.",
    "Give me the, um,| the second one on the list.",
)

INTERRUPTIONS: Final = (
    "Stop, please.",
    "Wait, that is not what I meant.",
    "No, tell me about Berlin instead.",
    "Actually, can you repeat that?",
    "Hold on a second.",
    "Thank you, that is enough.",
    "What about the price?",
    "Sorry, I have another question.",
    "Cancel it.",
    "Hang on, which one is cheaper?",
)

BACKCHANNELS: Final = (
    "Mm-hmm.", "Yeah.", "Uh-huh.", "Okay.", "Right.", "I see.", "Yes.", "Oh, really?", "Sure.", "Mhm, okay.",
)  # fmt: skip

ANSWER: Final = (
    "The river begins in the mountains in the south of the country. "
    "From there it runs through four large cities and many small ones. "
    "On its way it takes up more than twenty other rivers. Ships can use it almost all year. "
    "In the end it reaches the sea in a wide delta, where farmers grow rice and vegetables. "
    "Birds come there every winter, and so do visitors from everywhere."
)
"""What the assistant says while it is interrupted, or not."""
